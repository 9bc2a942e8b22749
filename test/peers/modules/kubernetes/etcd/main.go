// etcd from the same module graph as Kubernetes, so one go.sum covers both.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
