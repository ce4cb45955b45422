package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// forward listens on ADDRESS in the network namespace it was started in, then moves into those of process PID and answers from there:
// the only door into the cluster, and it ends with the cluster.
func forward(args []string) error {
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	if err := syscall.Dup3(int(file.Fd()), 3, 0); err != nil {
		return err
	}
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(nsenter, []string{"nsenter", "-t", args[1], "-m", "-n", "-p", "--", self, "relay", args[0]}, os.Environ())
}

// relay accepts on file descriptor 3 and dials ADDRESS for each connection.
func relay(args []string) error {
	listener, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	for {
		outside, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer outside.Close()
			inside, err := net.Dial("tcp", args[0])
			if err != nil {
				return // the API server is down: the caller sees a closed connection
			}
			defer inside.Close()
			go pipe(inside, outside)
			pipe(outside, inside)
		}()
	}
}

func pipe(to, from net.Conn) {
	io.Copy(to, from)
	to.(*net.TCPConn).CloseWrite()
}

// registry is a stand-in: every manifest is unknown (404), and everything below private/ asks for a login (401), so that the pulls fail as they
// do against a real one.
func registry(args []string) error {
	return http.ListenAndServe(args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, problem := http.StatusNotFound, "MANIFEST_UNKNOWN"
		if strings.Contains(r.URL.Path, "/private/") {
			code, problem = http.StatusUnauthorized, "UNAUTHORIZED"
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		if r.URL.Path == "/v2/" {
			fmt.Fprint(w, "{}")
			return
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"errors": [{"code": %q, "message": %q}]}`, problem, problem)
	}))
}
