// Command sample serves the reports of a directory.
package main

import (
	"fmt"
	"net/http"
	"os"

	"example.org/sample/report"
	"github.com/spf13/cobra"
)

func main() {
	var address string
	command := &cobra.Command{
		Use:     "sample",
		Version: fmt.Sprint(report.Edition),
		RunE: func(*cobra.Command, []string) error {
			return http.ListenAndServe(address, report.Handler())
		},
	}
	command.Flags().StringVar(&address, "address", "localhost:8080", "where to listen")
	if command.Execute() != nil {
		os.Exit(1)
	}
}
