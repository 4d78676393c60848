package main

// sleepForever is the sandbox or build agent whose PID 1 is `sleep infinity`,
// `tail -f /dev/null` or `cat` (inspect_k8s_sandbox#251, docker-workflow#311): a C
// program with no SIGCHLD handler, which collects the orphans of all that is exec'd
// into its container and waits for none. Pair it with orphan.
func sleepForever(args []string) error {
	if err := parse(newFlags("sleep"), args); err != nil {
		return err
	}
	if _, err := defaultSIGCHLD(); err != nil {
		return err
	}
	sayReady(0)
	select {}
}
