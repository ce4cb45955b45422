package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// Kinds that every case of a namespace sees whole; the others it sees by its label app=CASE.
var shared = map[string]bool{"ResourceQuota": true, "LimitRange": true, "ConfigMap": true, "ServiceAccount": true}

// split writes the objects of one big List as the Lists of a snapshot: FOLDER/NAMESPACE/KIND.json, or, where cases are named,
// FOLDER/CASE/snapshot/NAMESPACE/KIND.json for each with what belongs to it. Without a namespace ("") it is FOLDER/KIND.json.
func split(args []string) error {
	folder, namespace, cases := args[0], args[1], args[2:]
	var all struct{ Items []object }
	decoder := json.NewDecoder(os.Stdin)
	decoder.UseNumber() // 9007199254740988 stays what it is
	if err := decoder.Decode(&all); err != nil {
		return err
	}
	if len(cases) == 0 {
		return writeLists(filepath.Join(folder, namespace), all.Items)
	}
	for _, name := range cases {
		var mine []object
		for _, item := range all.Items {
			if belongs(item, name) {
				mine = append(mine, item)
			}
		}
		if err := writeLists(filepath.Join(folder, name, "snapshot", namespace), mine); err != nil {
			return err
		}
	}
	return nil
}

func belongs(item object, name string) bool {
	kind := text(item, "kind")
	switch {
	case shared[kind]:
		return true
	case kind == "Event":
		about := text(item, "involvedObject", "name")
		return about == name || strings.HasPrefix(about, name+"-")
	case kind == "EndpointSlice":
		return text(item, "metadata", "labels", "kubernetes.io/service-name") == name
	default:
		return text(item, "metadata", "labels", "app") == name
	}
}

func text(item object, path ...string) string {
	for _, key := range path[:len(path)-1] {
		item, _ = item[key].(object)
	}
	s, _ := item[path[len(path)-1]].(string)
	return s
}

func writeLists(folder string, items []object) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	lists := map[string][]object{}
	for _, item := range items {
		anonymous(item)
		file := plural(text(item, "kind"))
		lists[file] = append(lists[file], item)
	}
	for file, items := range lists {
		list := object{"apiVersion": "v1", "items": items, "kind": "List", "metadata": object{"resourceVersion": ""}}
		data, err := json.MarshalIndent(list, "", "    ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, file+".json"), append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func plural(kind string) string {
	kind = strings.ToLower(kind)
	if strings.HasSuffix(kind, "ss") {
		return kind + "es"
	}
	return kind + "s"
}

// anonymous empties what tells which machine it was.
func anonymous(item object) {
	if status, ok := item["status"].(object); ok {
		if info, ok := status["nodeInfo"].(object); ok {
			for _, key := range []string{"bootID", "machineID", "systemUUID"} {
				info[key] = ""
			}
		}
	}
}
