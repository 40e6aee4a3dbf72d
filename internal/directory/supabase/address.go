package supabase

import (
	"fmt"
	"net/url"
	"strings"
)

const addressHint = "SUPABASE_URL is the root of the project, like https://abcdefghijklmnopqrst.supabase.co: Project Settings, Data API."

// hostedDomains are those of the platform.
var hostedDomains = []string{".supabase.co", ".supabase.in", ".supabase.com"}

// parseAddress demands the root of a project whose answers come from its primary. It never repeats
// more of the address than the host: a key may have been put into the rest by mistake.
func parseAddress(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, &hinted{"the project's URL is missing", addressHint}
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &hinted{"the project's URL is no http:// or https:// address", addressHint}
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return nil, &hinted{fmt.Sprintf("the URL at %s says more than the root of a project", u.Host), addressHint}
	}
	if err := checkHost(u); err != nil {
		return nil, err
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

func isHosted(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	for _, d := range hostedDomains {
		if strings.HasSuffix(host, d) {
			return true
		}
	}
	return false
}

// checkHost refuses what is known to be no primary. A replica lags: a row that was just made or
// deleted looks as it did before.
func checkHost(u *url.URL) error {
	if !isHosted(u) {
		return nil
	}
	name, _, _ := strings.Cut(strings.ToLower(u.Hostname()), ".")
	switch {
	case strings.Contains(name, "-rr-"):
		return &hinted{fmt.Sprintf("%s is a read replica", u.Host), addressHint}
	case strings.HasSuffix(name, "-all"):
		return &hinted{fmt.Sprintf("%s is a load balancer that also asks read replicas", u.Host), addressHint}
	case name == "db" || strings.HasSuffix(u.Hostname(), "pooler.supabase.com"):
		return &hinted{fmt.Sprintf("%s is the database itself", u.Host), addressHint + " With DATABASE_URL instead, the database is asked directly."}
	case name == "www" || name == "app" || name == "api":
		return &hinted{fmt.Sprintf("%s is no project", u.Host), addressHint}
	case u.Scheme != "https":
		return &hinted{fmt.Sprintf("%s must be reached by https://", u.Host), addressHint}
	}
	return nil
}
