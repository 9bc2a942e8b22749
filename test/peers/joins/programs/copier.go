// A service that asks another one, as Go programs do it: net/http both ways.
//
// PORT and UPSTREAM (a URL) come from the environment. COPY names the headers that its author copies from
// what comes in to what goes out; nothing here traces.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

func main() {
	upstream := os.Getenv("UPSTREAM")
	copied := strings.FieldsFunc(os.Getenv("COPY"), func(each rune) bool { return each == ',' })
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		panic(err)
	}
	fmt.Println("copier listens on", listener.Addr())
	handler := func(response http.ResponseWriter, request *http.Request) {
		sent, err := http.NewRequest("GET", upstream+request.URL.RequestURI(), nil)
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadGateway)
			return
		}
		for _, name := range copied {
			if value := request.Header.Get(name); value != "" {
				sent.Header.Set(name, value)
			}
		}
		answer, err := http.DefaultClient.Do(sent)
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		io.Copy(response, answer.Body)
	}
	panic(http.Serve(listener, http.HandlerFunc(handler)))
}
