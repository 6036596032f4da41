; Single steps, breakpoints on code, data and ports, and the debug registers themselves.
%include "harness.inc"

WATCHED		equ FREE + 0x100

; Like probe and end_probe, with DR6 clear before and shown after.
%macro debug_probe 1+
	xor eax, eax
	mov dr6, eax
	probe %1
%endmacro

%macro end_debug 0-1 0xe00f
	int 0x40				; nothing happened
	end_probe
	and var(dr6), %1
	show "dr6", var(dr6)
	xor eax, eax
	mov dr7, eax
%endmacro

; Sets a breakpoint: number, address, kind (0 code, 1 store, 2 port, 3 access), length - 1.
%macro breakpoint 4
	mov eax, %2
	mov dr%1, eax
	mov eax, ((%3) | (%4) << 2) << (16 + %1 * 4) | 2 << (%1 * 2)
	mov dr7, eax
%endmacro

main:
	mov dword [WATCHED - 4], 0
	call steps
	call code
	call data
	call registers
	call ports
	ret

steps:
	debug_probe "single step"
	push dword 0x102
	popfd
	nop
	nop
	end_debug
	show "eflags", var(eflags)
	debug_probe "single step of the POPF that ends it"
	push dword 2
	push dword 0x102
	popfd
	popfd
	nop
	end_debug
	show "eflags", var(eflags)
	debug_probe "MOV SS delays the step"
	mov ecx, DATA
	push dword 0x102
	popfd
	mov ss, ecx
	nop
	nop
	end_debug
	debug_probe "POP SS delays the step"
	push dword DATA
	push dword 0x102
	popfd
	pop ss
	nop
	nop
	end_debug
	debug_probe "single step of REP STOSB"
	mov edi, FREE
	mov ecx, 5
	push dword 0x102
	popfd
	rep stosb
	nop
	end_debug
	show "ecx", var(ecx)
	gate IDT + 0x30 * 8, CODE, .handler, 0x8e, 0
	debug_probe "INT clears TF, the step comes behind its IRET"
	push dword 0x102
	popfd
	int 0x30
	nop
	nop
	end_debug
	show "inside", var(edx)
	debug_probe "PUSHF pushes TF"
	sub esp, 0x200				; away from what printing overwrites
	push dword 0x102
	popfd
	pushfd
	end_debug
	mov eax, var(handler_esp)
	show "pushed", dword [eax + 16]
	debug_probe "single step of a jump"
	push dword 0x102
	popfd
	jmp short .target
	nop
	nop
.target:
	nop
	end_debug
	debug_probe "single step and a fault: the fault alone"
	xor ecx, ecx
	push dword 0x102
	popfd
	div ecx
	end_debug
	show "eflags", var(eflags)
	debug_probe "INT1"
	db 0xf1
	end_debug
	debug_probe "POPF of TF in ring 3"
	enter_ring3 .user
.user:	mov var(start), .begin
.begin:	push dword 0x102
	popfd
	nop
	nop
	end_debug
	show "cs", var(cs)
	ret
.handler:
	pushfd
	pop edx
	iretd

code:
	breakpoint 0, .here, 0, 0
	debug_probe "code breakpoint"
	mov ecx, 1
.here:	mov ecx, 2
	end_debug
	show "ecx", var(ecx)
	show "eflags", var(eflags)
	breakpoint 3, .here2, 0, 0
	debug_probe "RF in the image of IRET suppresses it once"
	mov ecx, 0
	push dword 0x10002
	push dword CODE
	push dword .here2
	iretd
.here2:	inc ecx
	cmp ecx, 1
	je .here2
	end_debug
	show "ecx", var(ecx)
	breakpoint 1, .here3, 0, 0
	debug_probe "code breakpoint behind MOV SS"
	mov ecx, DATA
	mov ss, ecx
.here3:	nop
	nop
	end_debug
	breakpoint 2, .here4 + 1, 0, 0
	debug_probe "code breakpoint inside an instruction"
	nop
.here4:	mov ecx, 2
	end_debug
	breakpoint 0, .here5, 0, 0
	debug_probe "code breakpoint goes before a fault"
	xor ecx, ecx
.here5:	div ecx
	end_debug
	breakpoint 0, .here6, 0, 0
	debug_probe "step onto a code breakpoint: the step, then the breakpoint"
	push dword 0x102
	popfd
	nop
.here6:	nop
	end_debug 0xe000			; B0 may already be told
	ret

data:
	breakpoint 0, WATCHED, 1, 3
	debug_probe "store to watched data"
	mov dword [WATCHED], 0x77
	nop
	end_debug
	show "stored", dword [WATCHED]
	breakpoint 0, WATCHED, 1, 3
	debug_probe "read of data watched for stores"
	mov ecx, [WATCHED]
	end_debug
	breakpoint 1, WATCHED, 3, 1
	debug_probe "read of data watched for accesses"
	mov cl, [WATCHED + 1]
	end_debug
	breakpoint 2, WATCHED, 3, 1
	debug_probe "read beside it"
	mov cl, [WATCHED + 2]
	end_debug
	breakpoint 3, WATCHED, 3, 0
	debug_probe "dword that touches one watched byte"
	mov ecx, [WATCHED - 3]
	nop
	end_debug
	breakpoint 0, WATCHED, 1, 3
	debug_probe "push onto watched data"
	mov esp, WATCHED + 4
	push ecx
	end_debug
	breakpoint 0, WATCHED + 8, 1, 3
	debug_probe "REP STOSD stops behind the watched element"
	mov edi, WATCHED
	mov ecx, 6
	rep stosd
	end_debug
	show "ecx", var(ecx)
	breakpoint 0, WATCHED, 1, 3
	debug_probe "disabled in DR7"
	xor eax, eax
	mov dr7, eax
	mov [WATCHED], eax
	int 0x40
	end_probe
	breakpoint 0, WATCHED, 3, 3
	debug_probe "MOV SS from watched data delays"
	mov dword [WATCHED - 4], 0
	xor eax, eax
	mov dr7, eax
	mov dword [WATCHED], DATA
	mov eax, 0x000f0002
	mov dr7, eax
	mov ss, [WATCHED]
	nop
	nop
	end_debug
	ret

registers:
	debug_probe "DR6 and DR7 written with zeros"
	xor eax, eax
	mov dr6, eax
	mov dr7, eax
	mov ebx, dr6
	mov ecx, dr7
	int 0x40
	end_probe
	show "dr6", var(ebx)
	show "dr7", var(ecx)
	debug_probe "DR6 written with ones"
	mov eax, 0xffffffff
	mov dr6, eax
	mov ebx, dr6
	int 0x40
	end_probe
	show "dr6", var(ebx)
	debug_probe "DR4 is DR6 without CR4.DE"
	db 0x0f, 0x21, 0xe3			; mov ebx, dr4
	int 0x40
	end_probe
	show "dr4", var(ebx)
	mov eax, cr4
	or eax, 8
	mov cr4, eax
	debug_probe "DR5 with CR4.DE"
	db 0x0f, 0x21, 0xeb			; mov ebx, dr5
	end_debug
	mov eax, cr4
	and eax, ~8
	mov cr4, eax
	debug_probe "general detect"
	mov eax, 0x2000
	mov dr7, eax
	mov ebx, dr0
	end_debug
	mov eax, dr7
	show "dr7", eax
	debug_probe "MOV from a debug register in ring 3"
	enter_ring3 .user
.user:	mov var(start), .begin
.begin:	mov eax, dr0
	end_debug
	ret

ports:
	mov eax, cr4
	or eax, 8
	mov cr4, eax
	breakpoint 0, 0x61, 2, 0
	debug_probe "IN from a watched port"
	in al, 0x61
	nop
	end_debug
	breakpoint 0, 0x61, 2, 0
	debug_probe "OUT to another port"
	out 0x80, al
	end_debug
	mov eax, cr4
	and eax, ~8
	mov cr4, eax
	ret

finish_image
