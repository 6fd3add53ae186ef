#include "textflag.h"

// func vforkClone3(args unsafe.Pointer, size uintptr) (pid, errno uintptr)
//
// The child runs on the parent's stack (CLONE_VM|CLONE_VFORK) and overwrites
// the return address; R12 keeps it, as in Go's own rawVforkSyscall
// (syscall/asm_linux_amd64.s).
TEXT ·vforkClone3(SB),NOSPLIT|NOFRAME,$0-32
	MOVQ	args+0(FP), DI
	MOVQ	size+8(FP), SI
	MOVQ	$0, DX
	MOVQ	$0, R10
	MOVQ	$0, R8
	MOVQ	$0, R9
	MOVQ	$435, AX
	POPQ	R12
	SYSCALL
	PUSHQ	R12
	CMPQ	AX, $0xfffffffffffff001
	JLS	ok
	MOVQ	$-1, pid+16(FP)
	NEGQ	AX
	MOVQ	AX, errno+24(FP)
	RET
ok:
	MOVQ	AX, pid+16(FP)
	MOVQ	$0, errno+24(FP)
	RET
