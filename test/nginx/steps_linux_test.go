package nginx_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The steps of docs/deploy.md change the nginx.conf that the distribution installs.
func TestTheDocumentedStepsFitTheDistributionsOwnFile(t *testing.T) {
	guide, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile(`(?m)^    (?:sudo sed -i|printf) .*/etc/nginx/(?:nginx.conf|modules-enabled/.*)$`).FindAllString(string(guide), -1)
	if len(steps) != 2 {
		t.Fatalf("docs/deploy.md has the steps %q, want two", steps)
	}
	own, err := os.ReadFile("/etc/nginx/nginx.conf")
	if err != nil {
		t.Fatalf("the file that Debian and Ubuntu install: %v", err)
	}
	dir := makeDir(t)
	here := strings.NewReplacer("/etc/nginx/modules-enabled/", dir+"/modules-enabled/", "/etc/nginx/conf.d/", dir+"/conf.d/",
		"/etc/nginx/sites-enabled/", dir+"/none/", "/etc/nginx/nginx.conf", dir+"/nginx.conf",
		"/var/log/nginx/", dir+"/", "/run/nginx.pid", dir+"/pid", "sudo ", "")
	p := &proxy{t: t, dir: dir}
	p.write("nginx.conf", here.Replace(string(own)))
	for _, folder := range []string{"modules-enabled", "conf.d"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.makeCertificate()
	p.write("conf.d/fleetline.conf", p.packaged([]change{
		{"listen [::]:80;", ""}, {"listen [::]:443 ssl backlog=4096;", ""}, // there may be no IPv6 here
		{"/etc/ssl/fleetline/cert.pem", filepath.Join(dir, "cert.pem")}, {"/etc/ssl/fleetline/key.pem", filepath.Join(dir, "key.pem")},
	}))
	p.write("conf.d/temporary.conf", strings.ReplaceAll("client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3; uwsgi_temp_path DIR/4; scgi_temp_path DIR/5;", "DIR", dir))
	for _, step := range steps {
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", here.Replace(step)).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", step, err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), binary(), "-T", "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr").CombinedOutput()
	if err != nil {
		t.Fatalf("nginx -T: %v\n%s", err, out)
	}
	for _, want := range []string{"worker_connections 65536;", "worker_rlimit_nofile 131072;", "worker_shutdown_timeout 1h;", "upstream fleetline {"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("after the steps nginx does not read %q:\n%s", want, out)
		}
	}
}
