package deploy

import (
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/strvals"
)

// The chart refuses values that would render well and not work, and says why.
func TestChartRefusals(t *testing.T) {
	for _, test := range []struct {
		base, change string // as in helm install --set
		want         string
	}{
		{"postgres", "settings.SESAME_PUBLIC_URL=", "settings.SESAME_PUBLIC_URL is required"},
		{"postgres", "settings.SESAME_TRUSTED_PROXIES=", "settings.SESAME_TRUSTED_PROXIES is required"},
		{"postgres", "settings.SESAME_MAIL_FROM=", "settings.SESAME_MAIL_FROM is required"},
		{"postgres", "settings.SESAME_ADDR=:80", "settings.SESAME_ADDR must not be set"},
		{"postgres", "settings.SESAME_ADMIN_ADDR=:81", "settings.SESAME_ADMIN_ADDR must not be set"},
		{"postgres", "settings.SESAME_DATA_DIR=/tmp", "settings.SESAME_DATA_DIR must not be set"},
		{"postgres", "settings.SESAME_SECRET=0", "settings.SESAME_SECRET must not be set"},
		{"postgres", "settings.SESAME_DATABASE_URL_FILE=/x", "settings.SESAME_DATABASE_URL_FILE must not be set"},
		{"postgres", "settings.BRAND=x", "BRAND"},
		{"postgres", "existingSecret=", "existingSecret is required with PostgreSQL"},
		{"postgres", "smtp=false", "smtp: false needs database: sqlite"},
		{"postgres", "terminationGracePeriodSeconds=30", "terminationGracePeriodSeconds"},
		{"postgres", "replica=3", "replica"},
		{"postgres", "ingress.enabled=true,settings.SESAME_PUBLIC_URL=https://example.com/auth", "without a path"},
		{"postgres", "ingress.tlsSecret=x,settings.SESAME_PUBLIC_URL=http://localhost", "needs an https URL"},
		{"postgres", "serviceMonitor.enabled=true", "serviceMonitor needs networkPolicy.adminFrom"},
		{"postgres", "autoscaling.enabled=true,resources.requests.cpu=null", "autoscaling needs resources.requests.cpu"},
		{"postgres", "autoscaling.enabled=true,autoscaling.minReplicas=11", "must not be more than"},
		{"sqlite", "replicas=2", "Several pods need PostgreSQL"},
		{"sqlite", "autoscaling.enabled=true", "Several pods need PostgreSQL"},
		{"sqlite", "migrationJob=true", "migrationJob needs PostgreSQL"},
		{"sqlite", "smtp=true", "existingSecret is required with smtp"},
	} {
		t.Run(test.base+" "+test.change, func(t *testing.T) {
			values := readValues(t, test.base)
			must(t, strvals.ParseInto(test.change, values))
			if _, err := tryRender(t, values); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
