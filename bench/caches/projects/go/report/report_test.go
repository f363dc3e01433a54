package report

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHandlerServesWhatParseReads(t *testing.T) {
	server := httptest.NewServer(Handler())
	defer server.Close()
	for round := 0; round < 10000; round++ {
		name := fmt.Sprintf("/web/%d", round)
		answer, err := http.Get(server.URL + name)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		reports, err := Parse(text)
		if err != nil || len(reports) != 1 || reports[0].Name != name {
			t.Fatalf("%v, %v", reports, err)
		}
	}
}
