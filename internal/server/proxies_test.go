package server

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestNginxAndTheGatewayKnowTheSameRangesOfCloudflare(t *testing.T) {
	text, err := os.ReadFile("../../packaging/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	var ranges []string
	for _, found := range regexp.MustCompile(`(?m)^\s*set_real_ip_from (\S+);$`).FindAllStringSubmatch(string(text), -1) {
		ranges = append(ranges, found[1])
	}
	if want := strings.Fields(cloudflare); !slices.Equal(ranges, want) {
		t.Errorf("packaging/nginx.conf has %q, want %q", ranges, want)
	}
}
