module kubecure.test/tool

go 1.26
