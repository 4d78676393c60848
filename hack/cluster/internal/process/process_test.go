package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestStartTicksSurvivesHostileNames(t *testing.T) {
	t.Parallel()
	const rest = " S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0"
	for _, name := range []string{"sleep", "a b", "x) R 1 (", "new\nline", "\xff\xfe", ""} {
		got, err := startTicks([]byte("7 (" + name + ")" + rest))
		if err != nil || got != 4711 {
			t.Errorf("name %q: start %d and error %v, want 4711", name, got, err)
		}
	}
}

func TestStartTicksRefusesWhatIsNoLivingProcess(t *testing.T) {
	t.Parallel()
	for _, stat := range []string{"", "7 (x", "7 (x) S 1", "7 (x) Z 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0"} {
		if _, err := startTicks([]byte(stat)); err == nil {
			t.Errorf("stat %q was accepted", stat)
		}
	}
}

func TestProcessIsFoundAgainAndKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id, err := Start(Spec{Name: "sleep", Path: lookPath(t, "sleep"), Args: []string{"60"}, Log: filepath.Join(dir, "log")}, dir)
	if err != nil {
		t.Fatal(err)
	}
	found, err := Load(dir, "sleep")
	if err != nil || found != id || !found.Alive() {
		t.Fatalf("found %v, error %v, alive %t; want %v alive", found, err, found.Alive(), id)
	}
	if err := found.Kill(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if found.Alive() {
		t.Error("it lives after Kill")
	}
}

func TestAnotherProcessWithThePidIsLeftAlone(t *testing.T) {
	t.Parallel()
	cmd := startSleep(t)
	mine, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for what, other := range map[string]ID{
		"an earlier time": {PID: mine.PID, Start: mine.Start - 1, Boot: mine.Boot},
		"an earlier boot": {PID: mine.PID, Start: mine.Start, Boot: "00000000-0000-0000-0000-000000000000"},
	} {
		if other.Alive() {
			t.Errorf("a process of %s is taken for this one", what)
		}
		if err := other.Kill(time.Second); err != nil {
			t.Error(err)
		}
		if !mine.Alive() {
			t.Fatalf("Kill of a process of %s ended another one with its pid", what)
		}
	}
}

func TestZombieIsNotAlive(t *testing.T) {
	t.Parallel()
	cmd := startSleep(t)
	id, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Kill(10 * time.Second); err != nil { // nobody waits for it until the test ends, so it stays a zombie
		t.Fatal(err)
	}
	if id.Alive() {
		t.Error("a zombie counts as alive")
	}
}

func TestMissingPidFileIsNoProcess(t *testing.T) {
	t.Parallel()
	id, err := Load(t.TempDir(), "nothing")
	if err != nil || id.Alive() {
		t.Errorf("got %v alive %t, error %v", id, id.Alive(), err)
	}
	if err := id.Kill(time.Second); err != nil {
		t.Error(err)
	}
}

func TestBrokenPidFileIsNoProcess(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", `{"pid": 1`, "4711", "\x00\x00"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "broken"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if id, err := Load(dir, "broken"); err != nil || id.Alive() {
			t.Errorf("%q: got %v alive %t, error %v", content, id, id.Alive(), err)
		}
	}
}

// startSleep runs a child that stays until the test ends, and as a zombie if something else kills it.
func startSleep(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(lookPath(t, "sleep"), "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // its error says no more than that it was killed
	})
	return cmd
}

func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
