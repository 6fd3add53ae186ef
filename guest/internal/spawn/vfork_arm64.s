#include "textflag.h"

// func vforkClone3(args unsafe.Pointer, size uintptr) (pid, errno uintptr)
//
// The child runs on the parent's stack (CLONE_VM|CLONE_VFORK) and overwrites
// what lies above; the return address is safe in the link register, as in Go's
// own rawVforkSyscall (syscall/asm_linux_arm64.s).
TEXT ·vforkClone3(SB),NOSPLIT,$0-32
	MOVD	args+0(FP), R0
	MOVD	size+8(FP), R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$0, R5
	MOVD	$435, R8
	SVC
	CMN	$4095, R0
	BCC	ok
	MOVD	$-1, R4
	MOVD	R4, pid+16(FP)
	NEG	R0, R0
	MOVD	R0, errno+24(FP)
	RET
ok:
	MOVD	R0, pid+16(FP)
	MOVD	ZR, errno+24(FP)
	RET
