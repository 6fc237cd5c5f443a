package deploy

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

const chartFolder = root + "/deploy/helm/sesame"

// valueFiles are values for which the chart must work.
var valueFiles = []string{"postgres", "sqlite", "everything"}

// release contains the objects that the chart makes, each decoded into its type.
type release struct {
	deployment     *appsv1.Deployment
	services       []*corev1.Service
	account        *corev1.ServiceAccount
	claim          *corev1.PersistentVolumeClaim
	job            *batchv1.Job
	ingress        *networkingv1.Ingress
	networkPolicy  *networkingv1.NetworkPolicy
	autoscaler     *autoscalingv2.HorizontalPodAutoscaler
	disruption     *policyv1.PodDisruptionBudget
	serviceMonitor *monitoringv1.ServiceMonitor
	prometheusRule *monitoringv1.PrometheusRule
}

// forEach runs a test with the objects of each file of values.
func forEach(t *testing.T, test func(t *testing.T, r *release)) {
	t.Helper()
	for _, name := range valueFiles {
		t.Run(name, func(t *testing.T) {
			var r release
			for _, manifest := range render(t, readValues(t, name)) {
				r.add(t, manifest)
			}
			test(t, &r)
		})
	}
}

func readValues(t *testing.T, name string) map[string]any {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	must(t, err)
	var values map[string]any
	must(t, yaml.UnmarshalStrict(content, &values))
	return values
}

// render returns the manifests that the chart makes, one object each.
func render(t *testing.T, values map[string]any) (manifests []string) {
	t.Helper()
	files, err := tryRender(t, values)
	must(t, err)
	for _, content := range files {
		for _, manifest := range regexp.MustCompile(`(?m)^---$`).Split(content, -1) {
			if strings.TrimSpace(manifest) != "" {
				manifests = append(manifests, manifest)
			}
		}
	}
	return manifests
}

// tryRender returns the output of each template by its name, without the notes.
func tryRender(t *testing.T, values map[string]any) (map[string]string, error) {
	t.Helper()
	chart, err := loader.LoadDir(chartFolder)
	must(t, err)
	if !slices.ContainsFunc(chart.Files, func(f *common.File) bool { return f.Name == "alerts.yaml" }) {
		chart.Files = append(chart.Files, &common.File{Name: "alerts.yaml", Data: []byte("groups:\n  - name: sesame\n")})
	}
	options := common.ReleaseOptions{Name: "sesame", Namespace: "accounts", Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(chart, values, options, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, err
	}
	const notes = "sesame/templates/NOTES.txt"
	if !strings.Contains(files[notes], "kubectl --namespace accounts rollout status deployment/sesame\n") {
		t.Errorf("the notes do not say how to wait for the Deployment:\n%s", files[notes])
	}
	delete(files, notes)
	return files, nil
}

// add decodes an object. An unknown field is an error.
func (r *release) add(t *testing.T, manifest string) {
	t.Helper()
	checkSchema(t, manifest)
	var meta metav1.TypeMeta
	must(t, yaml.Unmarshal([]byte(manifest), &meta))
	var object any
	switch meta.Kind {
	case "Deployment":
		object = set(t, &r.deployment)
	case "Service":
		service := new(corev1.Service)
		r.services, object = append(r.services, service), service
	case "ServiceAccount":
		object = set(t, &r.account)
	case "PersistentVolumeClaim":
		object = set(t, &r.claim)
	case "Job":
		object = set(t, &r.job)
	case "Ingress":
		object = set(t, &r.ingress)
	case "NetworkPolicy":
		object = set(t, &r.networkPolicy)
	case "HorizontalPodAutoscaler":
		object = set(t, &r.autoscaler)
	case "PodDisruptionBudget":
		object = set(t, &r.disruption)
	case "ServiceMonitor":
		object = set(t, &r.serviceMonitor)
	case "PrometheusRule":
		object = set(t, &r.prometheusRule)
	default:
		t.Fatalf("unknown object:\n%s", manifest)
	}
	if err := yaml.UnmarshalStrict([]byte(manifest), object); err != nil {
		t.Errorf("%v\n%s", err, manifest)
	}
}

// set sets a field of a release, once.
func set[T any](t *testing.T, field **T) *T {
	t.Helper()
	if *field != nil {
		t.Errorf("there are two objects of type %T", **field)
	}
	*field = new(T)
	return *field
}

// These are the rules of `helm lint`.
func TestChartLint(t *testing.T) {
	for _, name := range valueFiles {
		values := readValues(t, name)
		delete(values, "prometheusRule") // the chart may have no alerts.yaml
		for _, message := range lint.RunAll(chartFolder, values, "accounts").Messages {
			if message.Severity > support.InfoSev {
				t.Errorf("%s.yaml: %s", name, message)
			}
		}
	}
}

// The chart makes what the values ask for, and nothing else.
func TestChartObjects(t *testing.T) {
	forEach(t, func(t *testing.T, r *release) {
		everything, sqlite := strings.HasSuffix(t.Name(), "everything"), strings.HasSuffix(t.Name(), "sqlite")
		for _, object := range []struct {
			name           string
			exists, wanted bool
		}{
			{"Deployment", r.deployment != nil, true},
			{"Services", len(r.services) == 2, true},
			{"ServiceAccount", r.account != nil, true},
			{"NetworkPolicy", r.networkPolicy != nil, true},
			{"PersistentVolumeClaim", r.claim != nil, sqlite},
			{"PodDisruptionBudget", r.disruption != nil, !sqlite},
			{"Job", r.job != nil, everything},
			{"Ingress", r.ingress != nil, everything},
			{"HorizontalPodAutoscaler", r.autoscaler != nil, everything},
			{"ServiceMonitor", r.serviceMonitor != nil, everything},
			{"PrometheusRule", r.prometheusRule != nil, everything},
		} {
			if object.exists != object.wanted {
				t.Errorf("%s: exists: %t, want %t", object.name, object.exists, object.wanted)
			}
		}
	})
}

// pods returns the pods of the Deployment and of the Job.
func (r *release) pods() []corev1.PodTemplateSpec {
	pods := []corev1.PodTemplateSpec{r.deployment.Spec.Template}
	if r.job != nil {
		pods = append(pods, r.job.Spec.Template)
	}
	return pods
}

// The server accepts the environment of each pod. The keys of the Secret have valid values.
func TestChartSettings(t *testing.T) {
	secrets := map[string]string{
		"SESAME_DATABASE_URL": "postgres://sesame:password@db.example.com/sesame?sslmode=verify-full",
		"SESAME_SECRET":       "c2VzYW1lIHNlc2FtZSBzZXNhbWUgc2VzYW1lIHNlc2FtZQ==",
		"SESAME_SMTP_URL":     "smtp://user:password@smtp.example.com",
	}
	known := append(settings(t), "GOMAXPROCS")
	forEach(t, func(t *testing.T, r *release) {
		for _, pod := range r.pods() {
			environment := readImage(t).environment
			for _, variable := range pod.Spec.Containers[0].Env {
				if !slices.Contains(known, variable.Name) {
					t.Errorf("there is no setting %s", variable.Name)
				}
				value := variable.Value
				if variable.ValueFrom != nil {
					key := variable.ValueFrom.SecretKeyRef
					if value = secrets[key.Key]; value == "" && !*key.Optional {
						t.Errorf("the pod needs the key %s of the Secret", key.Key)
					}
					if key.Name != "sesame-secrets" {
						t.Errorf("%s is read from the Secret %s", variable.Name, key.Name)
					}
				}
				environment = append(environment, variable.Name+"="+value)
			}
			checkConfig(t, environment)
		}
	})
}

// The pods comply with the Pod Security Standard "restricted", and need nothing from the API of
// Kubernetes.
func TestChartPodSecurity(t *testing.T) {
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	user := readImage(t).user
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	must(t, err)
	forEach(t, func(t *testing.T, r *release) {
		for _, pod := range r.pods() {
			for _, result := range evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
				if !result.Allowed {
					t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
				}
			}
			s := pod.Spec.SecurityContext
			if fmt.Sprintf("%d:%d", *s.RunAsUser, *s.RunAsGroup) != user || *s.FSGroup != *s.RunAsGroup {
				t.Errorf("the user is %d:%d and the group of volumes %d, want %s as in the image",
					*s.RunAsUser, *s.RunAsGroup, *s.FSGroup, user)
			}
			container := pod.Spec.Containers[0]
			if !*container.SecurityContext.ReadOnlyRootFilesystem || *pod.Spec.AutomountServiceAccountToken {
				t.Error("the file system is writable, or the pod has a token")
			}
			if *pod.Spec.EnableServiceLinks {
				t.Error("variables such as SESAME_SERVICE_HOST prevent the start of the server")
			}
			if container.Resources.Requests.Memory().IsZero() || container.Resources.Limits.Memory().IsZero() {
				t.Error("the container has no memory request or limit")
			}
		}
		if *r.account.AutomountServiceAccountToken {
			t.Error("the account gives its token to pods")
		}
	})
}

// An upgrade never has less pods than replicas, unless the database is a file; and a pod has the
// time that it needs to end.
func TestChartUpgrade(t *testing.T) {
	forEach(t, func(t *testing.T, r *release) {
		spec := r.deployment.Spec
		if r.claim != nil {
			if spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType || *spec.Replicas != 1 {
				t.Errorf("two pods use the database file: %v", spec.Strategy)
			}
			if r.claim.Annotations["helm.sh/resource-policy"] != "keep" {
				t.Error("helm uninstall deletes the database")
			}
		} else if spec.Strategy.RollingUpdate.MaxUnavailable.String() != "0" {
			t.Errorf("strategy %v", spec.Strategy)
		}
		if r.autoscaler != nil && spec.Replicas != nil {
			t.Error("each upgrade undoes the work of the autoscaler")
		}
		if given := time.Duration(*spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second; given < gracePeriod {
			t.Errorf("a pod is killed after %s", given)
		}
	})
}

// The objects refer to objects and ports that exist.
func TestChartReferences(t *testing.T) {
	forEach(t, func(t *testing.T, r *release) {
		pod := r.deployment.Spec.Template
		ports := make(map[string]int32)
		for _, port := range pod.Spec.Containers[0].Ports {
			ports[port.Name] = port.ContainerPort
		}
		if ports["api"] != 8080 || ports["admin"] != 8081 || !slices.Equal(readImage(t).ports, []string{"8080", "8081"}) {
			t.Errorf("ports %v, the image has others", ports)
		}
		selects := func(what string, selector map[string]string, of map[string]string) {
			if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(labels.Set(of)) {
				t.Errorf("%s selects %v, want %v", what, selector, of)
			}
		}
		selects("Deployment", r.deployment.Spec.Selector.MatchLabels, pod.Labels)
		selects("NetworkPolicy", r.networkPolicy.Spec.PodSelector.MatchLabels, pod.Labels)
		for _, constraint := range pod.Spec.TopologySpreadConstraints {
			selects("topology", constraint.LabelSelector.MatchLabels, pod.Labels)
		}
		if r.disruption != nil {
			selects("PodDisruptionBudget", r.disruption.Spec.Selector.MatchLabels, pod.Labels)
		}
		for i, port := range []string{"api", "admin"} {
			service := r.services[i]
			selects(service.Name, service.Spec.Selector, pod.Labels)
			if got := service.Spec.Ports; len(got) != 1 || got[0].TargetPort.String() != port || got[0].Port != ports[port] {
				t.Errorf("%s has ports %v, want only %s", service.Name, got, port)
			}
			if r.job != nil && labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(r.job.Spec.Template.Labels)) {
				t.Errorf("%s selects the Job", service.Name)
			}
		}
		if pod.Spec.ServiceAccountName != r.account.Name {
			t.Errorf("there is no account %s", pod.Spec.ServiceAccountName)
		}
		if r.autoscaler != nil && r.autoscaler.Spec.ScaleTargetRef.Name != r.deployment.Name {
			t.Errorf("the autoscaler scales %v", r.autoscaler.Spec.ScaleTargetRef)
		}
		if r.serviceMonitor != nil {
			selects("ServiceMonitor", r.serviceMonitor.Spec.Selector.MatchLabels, r.services[1].Labels)
			if labels.SelectorFromSet(r.serviceMonitor.Spec.Selector.MatchLabels).Matches(labels.Set(r.services[0].Labels)) {
				t.Error("the ServiceMonitor also selects the Service of the API")
			}
		}
		r.checkIngress(t)
		checkVolumes(t, r)
	})
}

// The Ingress leads the host of the public URL to the API, and only there.
func (r *release) checkIngress(t *testing.T) {
	t.Helper()
	if r.ingress == nil {
		return
	}
	publicURL := variable(r.deployment.Spec.Template, "SESAME_PUBLIC_URL")
	host, err := url.Parse(publicURL)
	must(t, err)
	rule := r.ingress.Spec.Rules[0]
	backend := rule.HTTP.Paths[0].Backend.Service
	if len(r.ingress.Spec.Rules) != 1 || len(rule.HTTP.Paths) != 1 || rule.Host != host.Hostname() ||
		backend.Name != r.services[0].Name || backend.Port.Name != "api" {
		t.Errorf("the Ingress has rules %v", r.ingress.Spec.Rules)
	}
	if tls := r.ingress.Spec.TLS; len(tls) != 1 || tls[0].Hosts[0] != host.Hostname() || tls[0].SecretName != "auth-tls" {
		t.Errorf("the Ingress has certificates %v", tls)
	}
}

// checkVolumes checks that each volume is mounted, and that the data folder is in one with SQLite.
func checkVolumes(t *testing.T, r *release) {
	t.Helper()
	for _, pod := range r.pods() {
		mounts := pod.Spec.Containers[0].VolumeMounts
		for _, volume := range pod.Spec.Volumes {
			if !slices.ContainsFunc(mounts, func(m corev1.VolumeMount) bool { return m.Name == volume.Name }) {
				t.Errorf("the volume %s is not mounted", volume.Name)
			}
		}
		if r.claim == nil {
			continue
		}
		inVolume := slices.ContainsFunc(mounts, func(m corev1.VolumeMount) bool {
			return !m.ReadOnly && strings.HasPrefix(variable(pod, "SESAME_DATA_DIR"), m.MountPath+"/")
		})
		if claim := pod.Spec.Volumes[0].PersistentVolumeClaim; !inVolume || claim == nil || claim.ClaimName != r.claim.Name {
			t.Errorf("the data folder %s is lost with the pod", variable(pod, "SESAME_DATA_DIR"))
		}
	}
}

func variable(pod corev1.PodTemplateSpec, name string) string {
	for _, variable := range pod.Spec.Containers[0].Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}

// The admin port has no peers, or only those in the values.
func TestChartNetworkPolicy(t *testing.T) {
	forEach(t, func(t *testing.T, r *release) {
		for _, rule := range r.networkPolicy.Spec.Ingress {
			for _, port := range rule.Ports {
				if port.Port.String() != "api" && len(rule.From) == 0 {
					t.Errorf("everybody may connect to %s", port.Port)
				}
			}
			if len(rule.Ports) != 1 {
				t.Errorf("a rule has ports %v", rule.Ports)
			}
		}
	})
}

// A server has the paths of the probes, and the metrics.
func TestChartPaths(t *testing.T) {
	s := local(t)
	_, metrics, err := s.get(t, s.admin+"/metrics")
	must(t, err)
	forEach(t, func(t *testing.T, r *release) {
		container := r.deployment.Spec.Template.Spec.Containers[0]
		paths := []string{
			container.StartupProbe.HTTPGet.Path, container.LivenessProbe.HTTPGet.Path, container.ReadinessProbe.HTTPGet.Path,
		}
		if paths[1] == paths[2] {
			t.Errorf("a server whose database is down is restarted: %q", paths)
		}
		if r.serviceMonitor != nil {
			paths = append(paths, r.serviceMonitor.Spec.Endpoints[0].Path)
		}
		for _, path := range paths {
			if status, _, err := s.get(t, s.admin+path); err != nil || status != http.StatusOK {
				t.Errorf("%s: %d %v", path, status, err)
			}
		}
		if r.autoscaler == nil {
			return
		}
		for _, metric := range r.autoscaler.Spec.Metrics[1:] {
			if name := metric.Pods.Metric.Name; !strings.Contains(metrics, "\n"+name+" ") {
				t.Errorf("there is no metric %s", name)
			}
		}
	})
	values, err := os.ReadFile(chartFolder + "/values.yaml")
	must(t, err)
	for _, name := range regexp.MustCompile(`\bsesame_\w+`).FindAllString(string(values), -1) {
		if !strings.Contains(metrics, "\n"+name+" ") {
			t.Errorf("values.yaml: there is no metric %s", name)
		}
	}
}

// The chart contains the rules of deploy/prometheus.
func TestChartAlerts(t *testing.T) {
	want, err := os.ReadFile(root + "/deploy/prometheus/alerts.yaml")
	if os.IsNotExist(err) {
		t.Skip("there are no rules yet")
	}
	must(t, err)
	got, err := os.ReadFile(chartFolder + "/alerts.yaml")
	must(t, err)
	if string(got) != string(want) {
		t.Error("alerts.yaml of the chart must be a symbolic link to deploy/prometheus/alerts.yaml")
	}
}
