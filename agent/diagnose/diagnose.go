// Package diagnose says why zombies stay and what ends the leak for good.
package diagnose

import (
	"fmt"

	"github.com/zombie-operator/zombie-operator/api/v1alpha1"
)

// Diagnosis is a cause in the words of a report.
type Diagnosis struct {
	Cause   v1alpha1.Cause
	Message string
	Fix     string
}

// Outside is the diagnosis of zombies whose parent is not a process of their container. command is fit to print.
func Outside(command string) Diagnosis {
	return Diagnosis{
		Cause:   v1alpha1.CauseParentOutsideContainer,
		Message: fmt.Sprintf("The parent (%s) is not a process of this container: nothing inside the container can reap its dead children.", command),
		Fix:     "Look at that process on the node, often the container runtime's shim: only its wait() or its end releases them.",
	}
}

// Inside is the diagnosis of zombies whose parent has this PID in the container. command is fit to print.
//
// For PID 1 it does not say whether the dead were orphans or its own children: the kernel does not keep that.
func Inside(pid int, command string) Diagnosis {
	if pid == 1 {
		return Diagnosis{
			Cause:   v1alpha1.CausePID1DoesNotReap,
			Message: fmt.Sprintf("PID 1 (%s) does not wait for its dead children; as PID 1 it also inherits every orphan of the container.", command),
			Fix:     "Make an init such as tini PID 1 of the container, or set shareProcessNamespace: true, or let PID 1 wait for all children.",
		}
	}
	return Diagnosis{
		Cause:   v1alpha1.CauseParentDoesNotWait,
		Message: fmt.Sprintf("Process %d (%s) does not wait for its dead children. While it lives, nobody else can reap them.", pid, command),
		Fix:     fmt.Sprintf("Let %s wait for every child it starts. An init as PID 1 does not help while that process lives.", command),
	}
}
