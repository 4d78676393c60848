package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// limitsProc makes a proc mount with these files; "" is none.
func limitsProc(tb testing.TB, pidMax, threadsMax, loadavg string) FS {
	tb.Helper()
	root := tb.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "sys", "kernel"), 0o700); err != nil {
		tb.Fatal(err)
	}
	for name, content := range map[string]string{"sys/kernel/pid_max": pidMax, "sys/kernel/threads-max": threadsMax, "loadavg": loadavg} {
		if content == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return open(tb, root)
}

const loadavg = "0.86 0.56 0.73 2/116 31175\n"

func TestLimitsOfTheNode(t *testing.T) {
	t.Parallel()
	got, err := limitsProc(t, "32768\n", "192730\n", loadavg).Limits()
	if want := (Limits{PIDMax: 32768, ThreadsMax: 192730, Used: 116}); got != want || err != nil {
		t.Errorf("Limits() = %+v, %v, want %+v", got, err, want)
	}
}

func TestLimitsFailsOnWhatItCannotRead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		pidMax, threadsMax, loadavg string
		want                        string
	}{
		"no pid_max":                        {"", "5", loadavg, "pid_max"},
		"a pid_max that is no number":       {"many", "5", loadavg, "parsing sys/kernel/pid_max"},
		"a pid_max of 0":                    {"0", "5", loadavg, "parsing sys/kernel/pid_max"},
		"no threads-max":                    {"5", "", loadavg, "threads-max"},
		"a threads-max below 0":             {"5", "-5", loadavg, "parsing sys/kernel/threads-max"},
		"no loadavg":                        {"5", "5", "", "loadavg"},
		"a loadavg that is too short":       {"5", "5", "0.86 0.56 0.73\n", "parsing loadavg"},
		"a loadavg without the second part": {"5", "5", "0.86 0.56 0.73 2 31175\n", "parsing loadavg"},
		"a loadavg without a number":        {"5", "5", "0.86 0.56 0.73 2/ 31175\n", "parsing loadavg"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := limitsProc(t, tc.pidMax, tc.threadsMax, tc.loadavg).Limits()
			if err == nil || got != (Limits{}) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Limits() = %+v, %v, want an error with %q", got, err, tc.want)
			}
		})
	}
}

//nolint:paralleltest // it counts the processes of the whole machine
func TestRealLimitsCountZombies(t *testing.T) {
	f := open(t, "/proc")
	const zombies = 200
	var grown int64
	// Others start and end processes meanwhile, on a busy machine many, but rarely half as many three times.
	for range 3 {
		grown = grow(t, f, zombies)
		if grown >= zombies/2 && grown <= zombies*3/2 {
			return
		}
	}
	t.Errorf("the number of tasks grew by %d, want about %d", grown, zombies)
}

// grow tells how many tasks more there are with so many zombies more.
func grow(t *testing.T, f FS, zombies int) int64 {
	t.Helper()
	before, err := f.Limits()
	if err != nil {
		t.Fatal(err)
	}
	var dead []*exec.Cmd
	for range zombies {
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{roleVariable + "=" + roleWait} // its standard input is empty: it ends at once
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		dead = append(dead, cmd)
	}
	for _, cmd := range dead {
		eventually(t, "a zombie", func() bool {
			p, err := f.Process(cmd.Process.Pid)
			if err != nil {
				t.Fatal(err)
			}
			return p.State == StateZombie && p.Threads == 1
		})
	}
	after, err := f.Limits()
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range dead {
		_ = cmd.Wait()
	}
	if after.PIDMax < after.Used || after.ThreadsMax < after.Used {
		t.Errorf("limits = %+v, want more than is used", after)
	}
	return after.Used - before.Used
}
