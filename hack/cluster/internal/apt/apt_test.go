package apt

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const simulation = `NOTE: This is only a simulation!
Reading package lists...
The following NEW packages will be installed:
  buildah libc6 libgpgme11
Inst gcc-12-base (12.2.0-14+deb12u1 Debian:12.11/oldstable [amd64]) []
Inst libc6 (2.36-9+deb12u14 Debian:12.11/oldstable [amd64])
Inst libgpgme11 (1.18.0-3+b1 Debian:12.11/oldstable [amd64])
Inst libseccomp2 [2.5.3-2] (2.5.4-1 Debian:12.11/oldstable [amd64])
Inst buildah (1.28.2+ds1-3+deb12u1 Debian:12.11/oldstable [amd64])
Conf libc6 (2.36-9+deb12u14 Debian:12.11/oldstable [amd64])
`

func TestParseSimulationListsEachPackageOnce(t *testing.T) {
	t.Parallel()
	want := []string{"gcc-12-base", "libc6", "libgpgme11", "libseccomp2", "buildah"}
	if diff := cmp.Diff(want, parseSimulation(simulation)); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyLibrariesAreLoadedAtRunTime(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"libgpgme11": true, "libseccomp2": true,
		"libc6": false, "libc6-i386": false, "libperl5.36": false, "libfile-find-rule-perl": false, "adduser": false, "gnupg": false,
	} {
		if got := Libraries(name); got != want {
			t.Errorf("Libraries(%q) is %t", name, got)
		}
	}
}

func TestConfigWritesNothingOutsideItsDirectory(t *testing.T) {
	t.Parallel()
	config := Apt{Dir: "/cache/apt"}.config()
	for line := range strings.Lines(config) {
		if strings.HasPrefix(line, "Dir::") && !strings.Contains(line, `"/cache/apt`) {
			t.Errorf("%q leaves the private directory", line)
		}
	}
	for _, want := range []string{"Dir::State::lists", "Dir::State::status", "Dir::Cache ", "#clear APT::Update::Post-Invoke;"} {
		if !strings.Contains(config, want) {
			t.Errorf("the configuration lacks %s", want)
		}
	}
}
