; Long mode: entering it, 64-bit gates and stacks, far transfers, fast system calls, bases, rights of pages and their keys.
%include "harness.inc"
cpu default
%include "harness64.inc"

CR4_UMIP	equ 1 << 11
CR4_FSGSBASE	equ 1 << 16
CR4_SMEP	equ 1 << 20
CR4_SMAP	equ 1 << 21
CR4_PKE		equ 1 << 22
CR4_PKS		equ 1 << 24
MSR_PKRS	equ 0x6e1

P		equ 1
W		equ 2
U		equ 4
G		equ 0x100
NX		equ 0x80000000			; in the upper half

; Sets the entry of test page n: page, low flags, upper half; and forgets what was known of it.
%macro page64 3
	mov dword [abs TABLE64 + (%1) * 8], FRAMES64 + (%1) * 0x1000 + (%2)
	mov dword [abs TABLE64 + (%1) * 8 + 4], %3
	mov rax, TESTS64 + (%1) * 0x1000
	invlpg [rax]
%endmacro

%macro set_cr4 1
	mov rax, cr4
	or rax, %1
	mov cr4, rax
%endmacro

%macro clear_cr4 1
	mov rax, cr4
	and rax, ~(%1)
	mov cr4, rax
%endmacro

%macro end_fault64 0
	end_probe64
	mov rax, cr2
	show64 "cr2", rax
%endmacro

bits 32
main:
	probe "PG with LME but without PAE"
	mov ecx, MSR_EFER
	xor edx, edx
	mov eax, 0x100
	wrmsr
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax
	end_probe
	call start64

bits 64
	call entering
	call addresses
	call segments
	call interrupts
	call transfers
	call fast_calls
	call bases
	call controls
	call paging
	print64 10, "end", 10
	xor eax, eax
	jmp leave64

entering:
	probe64 "64-bit mode"
	end_probe64
	mov eax, cs
	show64 "cs", rax
	mov ecx, MSR_EFER
	rdmsr
	show64 "efer", rax
	str eax
	show64 "tr", rax
	probe64 "EFER.LME cleared while paging"
	wrmsr64 MSR_EFER, 0, 0x801
	end_probe64
	wrmsr64 MSR_EFER, 0, 0xd01
	probe64 "CR0 beyond 32 bits"
	mov rax, cr0
	bts rax, 32
	mov cr0, rax
	end_probe64
	ret

addresses:
	mov r8, 0x0000800000000000
	probe64 "load that is not canonical"
	mov rax, [r8]
	end_probe64
	probe64 "load across the end of canonical addresses"
	mov rax, [r8 - 4]
	end_probe64
	mov byte [abs IDT64 + 12 * 16 + 4], 1
	mov byte [abs IDT64 + 13 * 16 + 4], 1
	probe64 "push that is not canonical"
	mov rsp, r8
	add rsp, 0x10
	push rax
	end_probe64
	mov byte [abs IDT64 + 12 * 16 + 4], 0
	mov byte [abs IDT64 + 13 * 16 + 4], 0
	probe64 "load through RBP that is not canonical"
	mov rbp, r8
	mov rax, [rbp]
	end_probe64
	probe64 "jump that is not canonical"
	jmp r8
	end_probe64
	probe64 "return that is not canonical"
	push r8
	ret
	end_probe64
	ret

segments:
	probe64 "null SS in ring 0"
	xor eax, eax
	mov ss, eax
	push rax
	pop rax
	end_probe64
	probe64 "null SS with RPL 3 in ring 0"
	mov eax, 3
	mov ss, eax
	end_probe64
	probe64 "null SS in ring 3"
	enter_ring3_64 .null3
.null3:	mov eax, 3
	mov ss, eax
	int 0x40
	end_probe64
	probe64 "null DS"
	xor eax, eax
	mov ds, eax
	mov rax, [abs V64]
	end_probe64
	probe64 "jump to code with L and D"
	jmp far dword [rel .bad]
	end_probe64
	probe64 "jump to a TSS"
	jmp far dword [rel .tss]
	end_probe64
	probe64 "LTR of a busy TSS"
	mov eax, SEL_TSS
	ltr ax
	end_probe64
	probe64 "LLDT"
	mov eax, SEL_LDT
	lldt ax
	sldt eax
	end_probe64
	mov byte [abs GDT + SEL_LDT + 13], 2
	probe64 "LLDT with a type in the second half"
	mov eax, SEL_LDT
	lldt ax
	end_probe64
	mov byte [abs GDT + SEL_LDT + 13], 0
	mov byte [abs GDT + SEL_LDT + 11], 1
	probe64 "LLDT with a base that is not canonical"
	mov eax, SEL_LDT
	lldt ax
	end_probe64
	mov byte [abs GDT + SEL_LDT + 11], 0
	xor eax, eax
	lldt ax
	probe64 "LAR of a TSS"
	mov ecx, SEL_TSS
	lar eax, ecx
	mov r8d, eax
	setz r9b
	end_probe64
	show64 "rights", r8
	movzx r9, r9b
	show64 "zf", r9
	ret
.bad:	dd 0
	dw SEL_BAD
.tss:	dd 0
	dw SEL_TSS

interrupts:
	probe64 "INT aligns the stack"
	sub rsp, 8
	int 0x40
	end_probe64
	mov rax, var64(old_rsp)
	and rax, 15
	show64 "rsp", rax
	mov rax, var64(handler_rsp)
	and rax, 15
	show64 "frame", rax
	show64 "ss", var64(old_ss)
	mov byte [abs IDT64 + 0x40 * 16 + 4], 1
	probe64 "INT with an interrupt stack"
	int 0x40
	end_probe64
	show64 "frame", var64(handler_rsp)
	show64 "ss", var64(ss)
	mov byte [abs IDT64 + 0x40 * 16 + 4], 0
	probe64 "INT from ring 3"
	enter_ring3_64 .ring3
.ring3:	int 0x40
	end_probe64
	show64 "frame", var64(handler_rsp)
	show64 "ss", var64(ss)
	show64 "old ss", var64(old_ss)
	probe64 "INT through a gate of ring 0 from ring 3"
	enter_ring3_64 .denied
.denied: int 0x30
	end_probe64
	mov byte [abs IDT64 + 0x30 * 16 + 5], 0x86
	probe64 "INT through a 16-bit gate"
	int 0x30
	end_probe64
	mov byte [abs IDT64 + 0x30 * 16 + 5], 0x85
	probe64 "INT through a task gate"
	int 0x30
	end_probe64
	mov byte [abs IDT64 + 0x30 * 16 + 5], 0x8e
	mov word [abs IDT64 + 0x30 * 16 + 2], CODE
	probe64 "INT to 32-bit code"
	int 0x30
	end_probe64
	mov word [abs IDT64 + 0x30 * 16 + 2], CODE64
	mov word [abs IDT64 + 0x30 * 16 + 10], 0x8000
	probe64 "INT to an address that is not canonical"
	int 0x30
	end_probe64
	mov word [abs IDT64 + 0x30 * 16 + 10], 0
	probe64 "INT beyond the table"
	int 0x41
	end_probe64
	mov byte [abs IDT64 + 8 * 16 + 4], 1
	probe64 "stack that faults twice"
	mov rsp, 0x80000000
	int3
	end_probe64
	show64 "frame", var64(handler_rsp)
	mov byte [abs IDT64 + 8 * 16 + 4], 0
	probe64 "IRETQ with NT"
	pushfq
	or dword [rsp], 0x4000
	popfq
	iretq
	end_probe64
	probe64 "IRETQ to a null SS in ring 0"
	push 0
	push STACK64 - 0x800
	push 2
	push CODE64
	lea rax, [rel .back]
	push rax
	iretq
.back:	push rax
	mov eax, ss
	mov r8d, eax
	mov r9, rsp
	end_probe64
	show64 "ss", r8
	show64 "rsp", r9
	probe64 "IRETQ to a null SS in ring 3"
	push 3
	push STACK3_64
	push 2
	push USER64
	push .back
	iretq
	end_probe64
	probe64 "IRETQ to an address that is not canonical"
	push DATA64
	push STACK64 - 0x800
	push 2
	push CODE64
	mov rax, 0x8000000000000000
	push rax
	iretq
	end_probe64
	ret

transfers:
	probe64 "to compatibility mode and back"
	mov r8, 0x123456789
	jmp far dword [rel .to32]
bits 32
.code32:
	mov eax, 0xffffffff
	db 0x40					; INC EAX there, a REX prefix here
	nop
	mov ebx, eax
	jmp CODE64:.back64
bits 64
.back64:
	mov r9d, ebx
	end_probe64
	show64 "r8", r8
	show64 "ebx", r9
	probe64 "event in compatibility mode"
	jmp far dword [rel .to32event]
bits 32
.event32:
	int 0x40
bits 64
	end_probe64
	show64 "cs", var64(cs)
	probe64 "event in compatibility mode of ring 3"
	push USER_DATA
	push STACK3_64
	push 2
	push USER32
	lea rax, [rel .event32]
	push rax
	iretq
	end_probe64
	show64 "cs", var64(cs)
	show64 "old ss", var64(old_ss)
	show64 "old rsp", var64(old_rsp)
	probe64 "SYSCALL in compatibility mode"
	jmp far dword [rel .to32call]
bits 32
.call32:
	dw 0x050f
bits 64
	end_probe64
	gate64 GDT + SEL_GATE, CODE64, .gated, 0xec, 0
	probe64 "call gate from ring 3"
	enter_ring3_64 .caller
.caller:
	call far dword [rel .gate]
	int 0x40
.gated:	mov eax, ss
	mov r8d, eax
	mov r9, [rsp + 24]
	mov r10, [rsp + 16]
	mov r11, rsp
	o64 retf
	end_probe64
	show64 "ss", r8
	show64 "old ss", r9
	show64 "old rsp", r10
	show64 "rsp", r11
	mov byte [abs GDT + SEL_GATE + 13], 1
	probe64 "call gate with a type in the second half"
	call far dword [rel .gate]
	end_probe64
	mov byte [abs GDT + SEL_GATE + 13], 0
	mov byte [abs GDT + SEL_GATE + 5], 0xe4
	probe64 "16-bit call gate"
	call far dword [rel .gate]
	end_probe64
	probe64 "far call with REX.W, and return"
	lea rax, [rel .far]
	mov [abs FREE + 0x10000], rax
	mov word [abs FREE + 0x10008], CODE64
	mov r9, rsp
	o64 call far [abs FREE + 0x10000]
	sub r9, rsp
	jmp .called
.far:	mov r8, rsp
	o64 retf
.called:
	sub r8, rsp
	end_probe64
	show64 "pushed", r8
	show64 "left", r9
	probe64 "far return to ring 3"
	push USER_DATA64
	push STACK3_64
	push USER64
	lea rax, [rel .user]
	push rax
	o64 retf
.user:	int 0x40
	end_probe64
	show64 "cs", var64(cs)
	show64 "old rsp", var64(old_rsp)
	ret
.to32:	dd .code32
	dw CODE
.to32event:
	dd .event32
	dw CODE
.to32call:
	dd .call32
	dw CODE
.gate:	dd 0
	dw SEL_GATE

fast_calls:
	wrmsr64 MSR_STAR, (USER32 & ~3) << 16 | CODE64, 0
	lea rax, [rel .entry]
	mov rdx, rax
	shr rdx, 32
	mov ecx, MSR_LSTAR
	wrmsr
	wrmsr64 MSR_FMASK, 0, 0x40200
	probe64 "SYSCALL from ring 3, SYSRET back"
	enter_ring3_64 .program
.program:
	push 0x40202 | 0xcd5
	popfq
	mov r13, rsp
	syscall
.returned:
	pushfq
	pop r12
	mov eax, cs
	mov r15d, eax
	int 0x40
.entry:	pushfq
	pop r8
	mov r9, rcx
	lea rax, [rel .returned]
	sub r9, rax
	mov r10, r11
	mov r14d, cs
	mov eax, ss
	shl eax, 16
	or r14d, eax
	mov rsp, r13
	o64 sysret
	end_probe64
	show64 "rflags", r8
	show64 "rcx", r9
	show64 "r11", r10
	show64 "ss:cs", r14
	show64 "back", r12
	show64 "cs", r15
	show64 "old ss", var64(old_ss)
	probe64 "SYSRET to 32-bit code"
	lea rcx, [rel .compat]
	mov r11d, 2
	mov esp, STACK3_64
	sysret
bits 32
.compat:
	db 0x40					; INC EAX there, a REX prefix here
	nop
	int 0x40
bits 64
	end_probe64
	show64 "cs", var64(cs)
	show64 "old ss", var64(old_ss)
	probe64 "SYSRET to an address that is not canonical"
	mov rcx, 0x8000000000000000
	mov r11d, 2
	o64 sysret
	end_probe64
	show64 "cs", var64(cs)
	probe64 "SYSRET from ring 3"
	enter_ring3_64 .denied
.denied: o64 sysret
	end_probe64
	wrmsr64 MSR_EFER, 0, 0xd00
	probe64 "SYSCALL without SCE"
	syscall
	end_probe64
	wrmsr64 MSR_EFER, 0, 0xd01
	probe64 "LSTAR that is not canonical"
	wrmsr64 MSR_LSTAR, 0x80000000, 0
	end_probe64
	wrmsr64 0x174, 0, CODE64
	wrmsr64 0x175, 0, STACK_INNER64
	lea rax, [rel .sysenter]
	xor edx, edx
	mov ecx, 0x176
	wrmsr
	probe64 "SYSENTER from ring 3, SYSEXIT back"
	enter_ring3_64 .enters
.enters: sysenter
.sysenter:
	mov r8d, cs
	mov eax, ss
	shl eax, 16
	or r8d, eax
	mov r9, rsp
	lea rdx, [rel .exited]
	mov ecx, STACK3_64
	o64 sysexit
.exited: int 0x40
	end_probe64
	show64 "ss:cs", r8
	show64 "rsp", r9
	show64 "cs", var64(cs)
	show64 "old ss", var64(old_ss)
	probe64 "SYSEXIT to an address that is not canonical"
	mov rdx, 0x8000000000000000
	mov ecx, STACK3_64
	o64 sysexit
	end_probe64
	ret

bases:
	wrmsr64 MSR_FS_BASE, 0, V64
	wrmsr64 MSR_GS_BASE, 0xffffffff, 0x80000000
	wrmsr64 MSR_KERNEL_GS, 0x7fff, 0x1000
	probe64 "FS has its base"
	lea rax, [rel .here]
	mov [fs:0x800], rax
.here:	cmp rax, [abs V64 + 0x800]
	jne $
	end_probe64
	probe64 "RDFSBASE without CR4.FSGSBASE"
	rdfsbase rax
	end_probe64
	set_cr4 CR4_FSGSBASE
	probe64 "RDGSBASE"
	rdgsbase r8
	rdgsbase r9d
	end_probe64
	show64 "gs", r8
	show64 "low", r9
	probe64 "SWAPGS"
	swapgs
	rdgsbase r8
	swapgs
	rdgsbase r9
	end_probe64
	show64 "gs", r8
	show64 "again", r9
	probe64 "SWAPGS in ring 3"
	enter_ring3_64 .ring3
.ring3:	swapgs
	int 0x40
	end_probe64
	probe64 "WRFSBASE that is not canonical"
	mov rax, 0x4000000000000000
	wrfsbase rax
	end_probe64
	probe64 "WRFSBASE of 32 bits"
	mov rax, 0x4000000000000010
	wrfsbase eax
	rdfsbase r8
	end_probe64
	show64 "fs", r8
	probe64 "null GS clears its base"
	xor eax, eax
	mov gs, eax
	rdgsbase r8
	end_probe64
	show64 "gs", r8
	ret

controls:
	probe64 "CR8"
	mov eax, 5
	mov cr8, rax
	mov r8, cr8
	xor eax, eax
	mov cr8, rax
	end_probe64
	show64 "cr8", r8
	probe64 "CR8 beyond 15"
	mov eax, 16
	mov cr8, rax
	end_probe64
	probe64 "DR7 beyond 32 bits"
	mov rax, 0x100000400
	mov dr7, rax
	end_probe64
	set_cr4 CR4_UMIP
	probe64 "SGDT in ring 3 with UMIP"
	enter_ring3_64 .sgdt
.sgdt:	sgdt [abs FREE + 0x10000]
	int 0x40
	end_probe64
	probe64 "STR in ring 3 with UMIP"
	enter_ring3_64 .str
.str:	str eax
	int 0x40
	end_probe64
	clear_cr4 CR4_UMIP
	probe64 "SMSW in ring 3 without UMIP"
	enter_ring3_64 .smsw
.smsw:	smsw eax
	int 0x40
	end_probe64
	ret

paging:
	mov r8d, 0x40c3f4cc
	page64 0, P + W + U, 0
	mov rax, TESTS64
	mov byte [rax], 0xc3			; RET
	page64 0, P + W, NX
	probe64 "code in a page without execution"
	mov rax, TESTS64
	call rax
	end_fault64
	page64 0, P + W, 0x00080000
	probe64 "reserved bit in an entry"
	mov rax, [abs TESTS64]
	end_fault64
	page64 0, P + W, 0x00100000
	probe64 "ignored bit in an entry"
	mov rax, [abs TESTS64]
	end_probe64
	mov dword [abs PDPT64 + 16], 0x83
	probe64 "1 GiB page"
	mov eax, 0x80000000 + V64
	mov r8, [rax + 0x800]
	cmp r8, [abs V64 + 0x800]
	jne $
	end_probe64
	mov dword [abs PDPT64 + 16], 0x2083
	mov eax, 0x80000000
	invlpg [rax]
	probe64 "1 GiB page with a reserved bit"
	mov eax, 0x80000000
	mov rax, [rax]
	end_fault64
	mov dword [abs PDPT64 + 16], 0
	mov dword [abs PML4 + 8], PDPT64 + 0x83
	probe64 "large page in the PML4"
	mov rax, 0x8000000000
	mov rax, [rax]
	end_fault64
	page64 0, P + W + U, 0
	; SMEP and SMAP need code, stacks and data that are no user's.
	and byte [abs LOW64], ~U
	mov rax, cr3
	mov cr3, rax
	set_cr4 CR4_SMEP
	probe64 "SMEP: user's code"
	mov rax, TESTS64
	call rax
	end_fault64
	clear_cr4 CR4_SMEP
	probe64 "no SMEP: user's code"
	mov rax, TESTS64
	call rax
	end_probe64
	set_cr4 CR4_SMAP
	probe64 "SMAP: user's data"
	mov rax, [abs TESTS64]
	end_fault64
	probe64 "SMAP: store to user's data"
	mov [abs TESTS64], al
	end_fault64
	probe64 "SMAP: with STAC"
	stac
	mov rax, [abs TESTS64]
	mov [abs TESTS64 + 8], rax
	clac
	end_probe64
	probe64 "SMAP: behind CLAC"
	stac
	mov rax, [abs TESTS64]
	clac
	mov rax, [abs TESTS64]
	end_fault64
	probe64 "SMAP: AC by POPF"
	pushfq
	or dword [rsp], 0x40000
	popfq
	mov rax, [abs TESTS64]
	clac
	end_probe64
	clear_cr4 CR4_SMAP
	or byte [abs LOW64], U
	mov rax, cr3
	mov cr3, rax
	probe64 "STAC in ring 3"
	enter_ring3_64 .stac
.stac:	stac
	int 0x40
	end_probe64
	probe64 "RDPKRU without CR4.PKE"
	xor ecx, ecx
	rdpkru
	end_probe64
	set_cr4 CR4_PKE
	page64 0, P + W + U, 0x08000000		; key 1
	page64 1, P + W, 0x10000000		; key 2
	xor ecx, ecx
	xor edx, edx
	mov eax, 4
	wrpkru
	probe64 "key without access"
	mov rax, [abs TESTS64]
	end_fault64
	xor ecx, ecx
	xor edx, edx
	mov eax, 8
	wrpkru
	probe64 "key without stores: read"
	mov rax, [abs TESTS64]
	end_probe64
	probe64 "key without stores: store"
	mov [abs TESTS64], rax
	end_fault64
	probe64 "key without stores: store in ring 3"
	enter_ring3_64 .key3
.key3:	mov [abs TESTS64], rax
	int 0x40
	end_fault64
	xor ecx, ecx
	xor edx, edx
	xor eax, eax
	wrpkru
	probe64 "WRPKRU with ECX"
	inc ecx
	wrpkru
	end_probe64
	set_cr4 CR4_PKS
	wrmsr64 MSR_PKRS, 0, 0x10
	probe64 "supervisor's key without access"
	mov rax, [abs TESTS64 + 0x1000]
	end_fault64
	wrmsr64 MSR_PKRS, 0, 0
	probe64 "supervisor's key with access"
	mov rax, [abs TESTS64 + 0x1000]
	end_probe64
	clear_cr4 CR4_PKE + CR4_PKS
	ret

finish_image
