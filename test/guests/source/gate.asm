; Call gates, interrupt and trap gates, 16 and 32 bits, through rings and their faults.
%include "harness.inc"

GATE		equ FIRST_FREE | 3		; call gate to ring 0, 32 bits, 2 parameters, DPL 3
GATE16		equ (FIRST_FREE + 8) | 3	; the same, 16 bits
GATE_SAME	equ FIRST_FREE + 16		; without parameters, to be called in ring 0
GATE_DPL0	equ FIRST_FREE + 24
GATE_ABSENT	equ (FIRST_FREE + 32) | 3
GATE_DATA	equ (FIRST_FREE + 40) | 3	; its selector is data
GATE_NULL	equ (FIRST_FREE + 48) | 3
GATE_CONFORMING	equ (FIRST_FREE + 56) | 3
CONFORMING	equ FIRST_FREE + 64
CODE1		equ (FIRST_FREE + 72) | 1	; ring 1
DATA1		equ (FIRST_FREE + 80) | 1
GATE1		equ (FIRST_FREE + 88) | 3	; to ring 1
GATE_FAR_OUT	equ (FIRST_FREE + 96) | 3	; offset beyond the limit of its segment
FREE_DATA	equ (FIRST_FREE + 112) | 1
CODE_SMALL	equ FIRST_FREE + 104		; code at ROM, limit ffff

%macro probe3 1+
	probe %1
	enter_ring3 %$user
%$user:
	mov var(start), %$begin
%$begin:
%endmacro

%macro end_probe3 0
	int 0x40
	end_probe
%endmacro

main:
	mov al, 0xff				; no interrupts while IF is set
	out 0x21, al
	out 0xa1, al
	gate GDT + (GATE & ~7), CODE, entry, 0xec, 2
	gate GDT + (GATE16 & ~7), CODE16, entry16 - ROM, 0xe4, 2
	gate GDT + GATE_SAME, CODE, entry_same, 0x8c, 0
	gate GDT + GATE_DPL0, CODE, entry, 0x8c, 0
	gate GDT + (GATE_ABSENT & ~7), CODE, entry, 0x6c, 0
	gate GDT + (GATE_DATA & ~7), DATA, entry, 0xec, 0
	gate GDT + (GATE_NULL & ~7), 0, entry, 0xec, 0
	gate GDT + (GATE_CONFORMING & ~7), CONFORMING, entry_conforming, 0xec, 0
	gate GDT + (GATE1 & ~7), CODE1 & ~3, entry1, 0xec, 1
	gate GDT + (GATE_FAR_OUT & ~7), CODE_SMALL, 0x10000, 0xec, 0
	descriptor CONFORMING, 0, 0xfffff, 0x9f, 0xc
	descriptor CODE1, 0, 0xfffff, 0xbb, 0xc
	descriptor DATA1, 0, 0xfffff, 0xb3, 0xc
	descriptor CODE_SMALL, ROM, 0xffff, 0x9b, 4
	mov dword [TSS + 12], STACK1
	mov dword [TSS + 16], DATA1
	mov word [ROM + 0x10000], 0x40cd	; int 0x40, where a processor that does not check limits ends up
	call calls
	call interrupts
	call stacks
	ret

; Keeps what a gate entry finds on its stack, for show.
saved		equ FREE + 0x100

entry:
	iretd					; never reached
entry_same:
	mov eax, cs
	mov ebx, [esp]
	mov ecx, [esp + 4]
	retf

calls:
	probe "call through a gate in ring 0"
	mov esi, esp
	call GATE_SAME:0x12345678
.back:	sub ebx, .back
	sub esi, esp
	int 0x40
	end_probe
	show "cs", var(eax)
	show "eip", var(ebx)
	show "old cs", var(ecx)
	show "esp", var(esi)
	probe "jump through a gate in ring 0"
	push dword CODE
	push dword .jumped
	jmp GATE_SAME:0
.jumped:
	end_probe

	gate GDT + (GATE & ~7), CODE, .inner, 0xec, 2
	probe3 "call through a gate to ring 0 with 2 parameters"
	push dword 0x11111111
	push dword 0x22222222
	call GATE:0
	mov ecx, esp
	mov edx, cs
	end_probe3
	show "cs", dword [saved + 0]
	show "ss", dword [saved + 4]
	show "esp", dword [saved + 8]
	show "old cs", dword [saved + 12]
	show "p", dword [saved + 16]
	show "p", dword [saved + 20]
	show "old esp", dword [saved + 24]
	show "old ss", dword [saved + 28]
	show "esp", var(ecx)
	show "cs", var(edx)
	jmp .next
.inner:	mov [saved], cs
	mov [saved + 4], ss
	mov [saved + 8], esp
	mov esi, esp
	add esi, 4
	mov edi, saved + 12
	mov ecx, 5
	rep movsd
	retf 8

.next:	probe3 "call through a 16-bit gate with 2 parameters"
	push word 0x1111
	push word 0x2222
	call GATE16:0
	end_probe3
	shr var(eax), 16
	show "cs", var(edx)
	show "esp", var(esi)
	show "old cs", var(eax)
	show "p", var(ebx)
	show "old ss:sp", var(ecx)
	probe3 "call through a gate to ring 1, then on to ring 0 by INT"
	push dword 0x33333333
	call GATE1:0
	end_probe3
	show "cs", var(cs)
	show "old ss", var(old_ss)
	show "old esp", var(old_esp)
	show "p", var(eax)
	probe3 "gate of DPL 0"
	call GATE_DPL0:0
	end_probe3
	probe3 "gate of DPL 0 with RPL 3"
	call (GATE_DPL0 | 3):0
	end_probe3
	probe3 "gate that is absent"
	call GATE_ABSENT:0
	end_probe3
	probe3 "gate to data"
	call GATE_DATA:0
	end_probe3
	probe3 "gate to null"
	call GATE_NULL:0
	end_probe3
	probe3 "jump through a gate to an inner ring"
	jmp GATE:0
	end_probe3
	probe3 "gate to conforming code"
	call GATE_CONFORMING:0
	end_probe3
	show "cs", var(eax)
	probe3 "gate beyond the limit of its segment"
	call GATE_FAR_OUT:0
	end_probe3
	ret

entry_conforming:
	mov eax, cs
	retf

entry1:
	mov eax, [esp + 8]
	int 0x40

; Return addresses in the ROM do not fit 16 bits, so 16-bit entries do not return.
bits 16
entry16:
	mov eax, [esp]
	mov ebx, [esp + 4]
	mov ecx, [esp + 8]
	mov edx, cs
	mov esi, esp
	int 0x40
bits 32

interrupts:
	mov var(resume), 0
	gate IDT + 0x30 * 8, CODE, .trap, 0xef, 0
	probe "trap gate keeps IF"
	push dword 0x0202
	popfd
	int 0x30
	cli
	int 0x40
	end_probe
	show "eflags", var(eax)
	jmp .next
.trap:	pushfd
	pop eax
	iretd
.next:	gate IDT + 0x31 * 8, CODE, .interrupt, 0xee, 0
	probe "interrupt gate clears IF, TF, NT; IRET restores"
	push dword 0x4202
	popfd
	int 0x31
	pushfd
	pop ebx
	push dword 2
	popfd
	int 0x40
	end_probe
	show "inside", var(eax)
	show "after", var(ebx)
	jmp .next2
.interrupt:
	pushfd
	pop eax
	iretd
.next2:	gate IDT + 0x32 * 8, CODE16, entry16 - ROM, 0xe6, 0
	probe3 "16-bit interrupt gate from ring 3"
	int 0x32
	end_probe3
	shr var(eax), 16
	show "cs", var(edx)
	show "esp", var(esi)
	show "old cs", var(eax)
	show "sp:flags", var(ebx)
	and var(ecx), 0xffff
	show "ss", var(ecx)
.next3:	gate IDT + 0x33 * 8, DATA, .trap, 0xee, 0
	probe "interrupt gate to data"
	int 0x33
	end_probe
	gate IDT + 0x33 * 8, 0, .trap, 0xee, 0
	probe "interrupt gate to null"
	int 0x33
	end_probe
	gate IDT + 0x33 * 8, CODE, .trap, 0x6e, 0
	probe "interrupt gate that is absent"
	int 0x33
	end_probe
	gate IDT + 0x33 * 8, CODE3 & ~3, .trap, 0xee, 0
	probe "interrupt gate to an outer ring"
	int 0x33
	end_probe
	gate IDT + 0x33 * 8, CODE, .trap, 0xec, 0
	probe "a call gate in the IDT"
	int 0x33
	end_probe
	gate IDT + 0x33 * 8, CODE_SMALL, 0x10000, 0xee, 0
	probe "interrupt gate beyond its segment"
	int 0x33
	end_probe
	gate IDT + 0x33 * 8, 0x2000, .trap, 0xee, 0
	probe "interrupt gate beyond the GDT"
	int 0x33
	end_probe
	gate IDT + 6 * 8, CODE, .ud, 0x0e, 0
	probe "absent gate of an exception"
	ud2
	end_probe
	gate IDT + 11 * 8, CODE, .ud, 0x0e, 0
	probe "absent gates of an exception and of #NP: double fault"
	ud2
	end_probe
	ret
.ud:	iretd

; The stack the TSS gives for ring 1 is no good; the fault itself goes to ring 0.
%macro bad_stack 2				; name, selector
	mov dword [TSS + 16], %2
	probe3 %1
	call GATE1:0
	end_probe3
	show "from cs", var(cs)
%endmacro

stacks:
	bad_stack "inner stack of another ring", DATA3
	bad_stack "inner stack null", 0
	bad_stack "inner stack beyond the GDT", 0x2001
	descriptor FREE_DATA, 0, 0xfffff, 0xb1, 0xc
	bad_stack "inner stack readonly", FREE_DATA
	descriptor FREE_DATA, 0, 0xfffff, 0x33, 0xc
	bad_stack "inner stack absent", FREE_DATA
	descriptor FREE_DATA, 0, 0xfffff, 0xb3, 0xc
	bad_stack "inner stack with another RPL", FREE_DATA & ~3
	descriptor FREE_DATA, 0, 0xfff, 0xb3, 4
	bad_stack "inner stack too small", FREE_DATA
	ret

finish_image
