// What the cluster needs and neither Kubernetes nor Debian's packages bring: image archives, certificates, a door from outside,
// a registry that says no, and the recorder. The standard library only.
package main

import (
	"fmt"
	"os"
)

type command struct {
	usage string
	least int // arguments
	run   func(args []string) error
}

var commands = map[string]command{
	"image":    {"OUT.tar NAME[,NAME...] ENTRYPOINT SRC=DEST... LINK->TARGET...", 3, image},
	"pki":      {"FOLDER PORT NODE_NAME NODE_IP SERVICE_IP", 5, pki},
	"forward":  {"ADDRESS PID", 2, forward},
	"relay":    {"ADDRESS", 1, relay},
	"registry": {"ADDRESS", 1, registry},
	"split":    {"FOLDER NAMESPACE [CASE...] < what `kubectl get KIND,... -o json` printed", 2, split},
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]].run == nil {
		for name, c := range commands {
			fmt.Fprintln(os.Stderr, "usage: tool", name, c.usage)
		}
		os.Exit(2)
	}
	name, args := os.Args[1], os.Args[2:]
	if c := commands[name]; len(args) < c.least {
		fmt.Fprintln(os.Stderr, "usage: tool", name, c.usage)
		os.Exit(2)
	}
	if err := commands[name].run(args); err != nil {
		fmt.Fprintf(os.Stderr, "tool %s: %v\n", name, err)
		os.Exit(1)
	}
}
