// Applies requests and says so. Go's server never closes an idle connection by default; ReadTimeout,
// which it takes for the idle timeout too, is the setting that its users most often make.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	ledger, err := os.OpenFile(os.Getenv("RACE_LEDGER"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		bytes, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		id := r.Header.Get("X-Race-Id")
		fmt.Fprintf(ledger, "%s 200\n", id)
		fmt.Fprintf(w, "%s %d\n", id, bytes)
	}
	server := http.Server{
		Addr:        "0.0.0.0:" + os.Getenv("RACE_PORT"),
		Handler:     http.HandlerFunc(handler),
		ReadTimeout: 5 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}
