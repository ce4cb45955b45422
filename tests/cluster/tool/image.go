package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"
)

const (
	layerType    = "application/vnd.oci.image.layer.v1.tar"
	configType   = "application/vnd.oci.image.config.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

type object = map[string]any

// image writes a one-layer OCI image archive that `ctr images import` takes, under one or more names. IMAGE_USER names the user it runs as.
func image(args []string) error {
	out, names, entry, items := args[0], strings.Split(args[1], ","), args[2], args[3:]
	layer, err := layerOf(items)
	if err != nil {
		return err
	}
	blobs := map[string][]byte{}
	blob := func(mediaType string, data []byte) object {
		digest := fmt.Sprintf("%x", sha256.Sum256(data))
		blobs[digest] = data
		return object{"mediaType": mediaType, "digest": "sha256:" + digest, "size": len(data)}
	}
	config := object{"Env": []string{"PATH=/bin"}}
	if entry != "" {
		config["Entrypoint"] = strings.Split(entry, ",")
	}
	if user := os.Getenv("IMAGE_USER"); user != "" {
		config["User"] = user
	}
	layerBlob := blob(layerType, layer)
	configBlob := blob(configType, encode(object{
		"architecture": runtime.GOARCH, "os": "linux", "config": config,
		"rootfs": object{"type": "layers", "diff_ids": []any{layerBlob["digest"]}},
	}))
	manifestBlob := blob(manifestType, encode(object{"schemaVersion": 2, "mediaType": manifestType, "config": configBlob, "layers": []any{layerBlob}}))
	var manifests []object
	for _, name := range names {
		manifests = append(manifests, object{
			"mediaType": manifestType, "digest": manifestBlob["digest"], "size": manifestBlob["size"],
			"platform":    object{"architecture": runtime.GOARCH, "os": "linux"},
			"annotations": object{"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name},
		})
	}
	var archive bytes.Buffer
	t := tar.NewWriter(&archive)
	add(t, "oci-layout", 0o644, encode(object{"imageLayoutVersion": "1.0.0"}))
	add(t, "index.json", 0o644, encode(object{"schemaVersion": 2, "mediaType": indexType, "manifests": manifests}))
	for digest, data := range blobs {
		add(t, "blobs/sha256/"+digest, 0o644, data)
	}
	if err := t.Close(); err != nil {
		return err
	}
	return os.WriteFile(out, archive.Bytes(), 0o644)
}

func layerOf(items []string) ([]byte, error) {
	var layer bytes.Buffer
	t := tar.NewWriter(&layer)
	made := map[string]bool{".": true}
	var parents func(folder string, mode int64)
	parents = func(folder string, mode int64) {
		if !made[folder] {
			made[folder] = true
			parents(path.Dir(folder), 0o755)
			t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: mode})
		}
	}
	parents("tmp", 0o1777)
	parents("etc", 0o755)
	add(t, "etc/passwd", 0o644, []byte("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"))
	for _, item := range items {
		if link, target, ok := strings.Cut(item, "->"); ok {
			link = strings.Trim(link, "/")
			parents(path.Dir(link), 0o755)
			t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: link, Linkname: target, Mode: 0o777})
			continue
		}
		source, dest, ok := strings.Cut(item, "=")
		if !ok {
			return nil, fmt.Errorf("%q is neither SRC=DEST nor LINK->TARGET", item)
		}
		data, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		dest = strings.Trim(dest, "/")
		parents(path.Dir(dest), 0o755)
		add(t, dest, 0o755, data)
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	return layer.Bytes(), nil
}

func add(t *tar.Writer, name string, mode int64, data []byte) {
	t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data))})
	t.Write(data) // into memory: cannot fail
}

func encode(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // every value here is a literal
	}
	return data
}
