; Segment loads, limits and rights, in ring 0 and ring 3.
%include "harness.inc"

SMALL		equ FIRST_FREE			; writable, limit 0xfff at FREE
DOWN		equ FIRST_FREE + 8		; expand-down, offsets 0x1000..ffffffff
DOWN16		equ FIRST_FREE + 16		; expand-down, 16 bits, offsets 0x1000..ffff
READONLY	equ FIRST_FREE + 24
CODE_ONLY	equ FIRST_FREE + 32		; code that cannot be read
ABSENT		equ FIRST_FREE + 40
CONFORMING	equ FIRST_FREE + 48		; flat conforming code, DPL 0
CONFORMING3	equ FIRST_FREE + 56		; the same, DPL 3
PAGES		equ FIRST_FREE + 64		; G = 1, limit 1: 8 KiB at FREE
CODE_SMALL	equ FIRST_FREE + 72		; code at ROM with limit 0xffff
ABSENT_CODE	equ FIRST_FREE + 80
FRESH		equ FIRST_FREE + 88		; data whose accessed bit is clear
SYSTEM		equ FIRST_FREE + 96		; LDT
SMALL3		equ (FIRST_FREE + 104) | 3	; SMALL for ring 3
BEYOND		equ 0x2000			; outside the GDT

main:
	descriptor SMALL, FREE, 0xfff, 0x93, 4
	descriptor SMALL3, FREE, 0xfff, 0xf3, 4
	descriptor DOWN, 0, 0xfff, 0x97, 4
	descriptor DOWN16, FREE, 0xfff, 0x97, 0
	descriptor READONLY, FREE, 0xfff, 0x91, 4
	descriptor CODE_ONLY, FREE, 0xfff, 0x99, 4
	descriptor ABSENT, FREE, 0xfff, 0x13, 4
	descriptor CONFORMING, 0, 0xfffff, 0x9f, 0xc
	descriptor CONFORMING3, 0, 0xfffff, 0xff, 0xc
	descriptor PAGES, FREE, 1, 0x93, 0xc
	descriptor CODE_SMALL, ROM, 0xffff, 0x9b, 4
	descriptor ABSENT_CODE, 0, 0xfffff, 0x1b, 0xc
	descriptor FRESH, 0, 0xfffff, 0x92, 0xc
	descriptor SYSTEM, 0x5800, 0x17, 0x82, 0
	call limits
	call loads
	call stacks
	call jumps
	call inspection
	call rings
	call tables
	ret

%macro try_load 3				; name, segment register, selector
	probe %1
	mov eax, %3
	mov %2, eax
	end_probe
%endmacro

limits:
	mov eax, SMALL
	mov fs, eax
	probe "byte at the limit"
	mov al, [fs:0xfff]
	end_probe
	probe "byte behind the limit"
	mov al, [fs:0x1000]
	end_probe
	probe "dword across the limit"
	mov eax, [fs:0xffd]
	end_probe
	mov eax, SMALL
	mov fs, eax
	probe "dword that ends at the limit"
	mov eax, [fs:0xffc]
	end_probe
	mov eax, SMALL
	mov fs, eax
	probe "store that wraps past 4 GiB"
	mov [fs:0xfffffffe], eax
	end_probe
	mov eax, DOWN
	mov fs, eax
	probe "expand-down below its limit"
	mov al, [fs:0xfff]
	end_probe
	mov eax, DOWN
	mov fs, eax
	probe "expand-down above its limit"
	mov al, [fs:0x1000]
	end_probe
	mov eax, DOWN16
	mov fs, eax
	probe "16-bit expand-down at ffff"
	mov al, [fs:0xffff]
	end_probe
	mov eax, DOWN16
	mov fs, eax
	probe "16-bit expand-down at 10000"
	mov al, [fs:0x10000]
	end_probe
	mov eax, PAGES
	mov fs, eax
	probe "page granular limit, last byte"
	mov al, [fs:0x1fff]
	end_probe
	mov eax, PAGES
	mov fs, eax
	probe "page granular limit, next byte"
	mov al, [fs:0x2000]
	end_probe
	mov eax, READONLY
	mov fs, eax
	probe "read of readonly data"
	mov al, [fs:0]
	end_probe
	mov eax, READONLY
	mov fs, eax
	probe "store to readonly data"
	mov [fs:0], al
	end_probe
	probe "store to code"
	mov [cs:FREE], al
	end_probe
	probe "access by a null selector"
	mov al, [gs:0]
	end_probe
	probe "REP STOSD into the limit"
	mov eax, SMALL
	mov es, eax
	mov edi, 0xff0
	mov ecx, 8
	rep stosd
	end_probe
	show "ecx", var(ecx)
	show "edi", var(edi)
	probe "CMPXCHG of another value to readonly data"
	mov eax, READONLY
	mov fs, eax
	cmpxchg [fs:0], ecx
	end_probe
	ret

loads:
	try_load "load of absent data", ds, ABSENT
	try_load "load of code that cannot be read", ds, CODE_ONLY
	try_load "load of readable code", ds, CODE
	try_load "load of a TSS", ds, MAIN_TSS
	try_load "load beyond the GDT", ds, BEYOND
	try_load "load from no LDT", ds, 0x0c
	try_load "load of null 3", fs, 3
	try_load "load of DPL 0 data with RPL 3", fs, SMALL | 3
	try_load "load of DPL 0 conforming code with RPL 3", fs, CONFORMING | 3
	try_load "load of fresh data", fs, FRESH
	mov al, [GDT + FRESH + 5]
	and eax, 0xff
	show "rights", eax
	probe "LFS beyond the GDT keeps the register"
	mov edx, 0x1234
	mov dword [FREE], 0x5678
	mov word [FREE + 4], BEYOND
	lfs edx, [FREE]
	end_probe
	show "edx", var(edx)
	ret

stacks:
	try_load "SS null", ss, 0
	try_load "SS readonly", ss, READONLY
	try_load "SS absent", ss, ABSENT
	try_load "SS code", ss, CODE
	try_load "SS with RPL 3", ss, DATA | 3
	try_load "SS of DPL 3", ss, DATA3
	probe "pop behind a small stack"
	mov eax, SMALL
	mov ss, eax
	mov esp, 0xffe
	pop eax
	end_probe
	probe "access by EBP beyond a small stack"
	mov eax, SMALL
	mov ss, eax
	mov esp, 0x800
	mov ebp, 0x1000
	mov al, [ebp]
	end_probe
	probe "POP SS of an absent segment"
	push dword ABSENT
	pop ss
	end_probe
	ret

jumps:
	probe "far jump to itself"
	jmp CODE:.here
.here:	end_probe
	probe "far jump with RPL 3"
	jmp (CODE | 3):.here2
.here2:	end_probe
	probe "far jump to data"
	jmp DATA:.here3
.here3:	end_probe
	probe "far jump to null"
	jmp 0:.here4
.here4:	end_probe
	probe "far jump to absent code"
	jmp ABSENT_CODE:.here5
.here5:	end_probe
	probe "far jump beyond the limit"
	jmp CODE_SMALL:0x10000
	end_probe
	probe "far jump to DPL 3 code"
	jmp CODE3:.here6
.here6:	end_probe
	probe "far jump to conforming code"
	jmp CONFORMING:.here7
.here7:	mov eax, cs
	int 0x40
	end_probe
	show "cs", var(eax)
	probe "far call and return"
	call CODE:.far
	jmp short .back
.far:	retf
.back:	end_probe
	mov word [ROM + 0x10000], 0x40cd	; int 0x40, where a processor that does not check ends up
	probe "near jump beyond the limit"
	jmp CODE_SMALL:(.small - ROM)
.small:	mov eax, 0x10000
	jmp eax
	end_probe
	probe "RETF to an inner ring's selector"
	push dword CODE3 & ~3
	push dword .here8
	retf
.here8:	end_probe
	probe "IRET to data"
	pushfd
	push dword DATA
	push dword .here9
	iretd
.here9:	end_probe
	ret

%macro inspect 2				; name, selector
	probe "LAR LSL VERR VERW of ", %1
	mov eax, %2
	xor ebx, ebx
	xor ecx, ecx
	lar ebx, eax
	lsl ecx, eax
	mov edx, 0
	verr ax
	setz dl
	verw ax
	setz dh
	int 0x40
	end_probe
	and var(ebx), 0xf0ff00			; the limit's bits are undefined
	show "lar", var(ebx)
	show "lsl", var(ecx)
	show "rw", var(edx)
%endmacro

inspection:
	inspect "null", 0
	inspect "flat code", CODE
	inspect "flat data", DATA
	inspect "small data, RPL 3", SMALL | 3
	inspect "conforming code, RPL 3", CONFORMING | 3
	inspect "readonly data", READONLY
	inspect "code only", CODE_ONLY
	inspect "expand-down", DOWN
	inspect "absent", ABSENT
	inspect "pages", PAGES
	inspect "the TSS", MAIN_TSS
	inspect "an LDT", SYSTEM
	inspect "beyond the GDT", BEYOND
	probe "ARPL lowers"
	mov eax, 0x10
	mov ecx, 3
	arpl ax, cx
	setz dl
	movzx edx, dl
	int 0x40
	end_probe
	show "eax", var(eax)
	show "zf", var(edx)
	ret

; Runs instructions in ring 3.
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

rings:
	probe3 "ring 3 runs"
	mov eax, cs
	mov ebx, ss
	end_probe3
	show "cs", var(eax)
	show "ss", var(ebx)
	show "frame cs", var(cs)
	show "esp", var(old_esp)
	show "handler esp", var(handler_esp)
	probe3 "ring 3 loads DPL 0 data"
	mov eax, DATA
	mov ds, eax
	end_probe3
	probe3 "ring 3 loads conforming code into DS"
	mov eax, CONFORMING
	mov ds, eax
	end_probe3
	probe3 "ring 3 push below a small stack"
	mov eax, SMALL3
	mov ss, eax
	mov esp, 2
	push eax
	end_probe3
	show "esp", var(old_esp)
	show "ss", var(old_ss)
	probe3 "ring 3 PUSHA that does not fit"
	mov eax, SMALL3
	mov ss, eax
	mov esp, 16
	pushad
	end_probe3
	show "esp", var(old_esp)
	probe3 "ring 3 loads DPL 0 stack"
	mov eax, DATA
	mov ss, eax
	end_probe3
	probe3 "ring 3 HLT"
	hlt
	end_probe3
	probe3 "ring 3 CLI"
	cli
	end_probe3
	probe3 "ring 3 IN from a closed port"
	in al, 0x21
	end_probe3
	and byte [TSS + 104 + 0x21 / 8], ~(1 << (0x21 & 7))
	probe3 "ring 3 IN from an open port"
	in al, 0x21
	end_probe3
	probe3 "ring 3 word IN, second port closed"
	in ax, 0x21
	end_probe3
	probe3 "ring 3 LGDT"
	lgdt [ram_gdt_pointer]
	end_probe3
	probe3 "ring 3 MOV from CR0"
	mov eax, cr0
	end_probe3
	probe3 "ring 3 far jump to conforming code"
	jmp CONFORMING:.conforming
.conforming:
	mov eax, cs
	end_probe3
	show "cs", var(eax)
	probe3 "ring 3 far jump to ring 0 code"
	jmp CODE:.no
.no:	end_probe3
	probe3 "ring 3 INT of DPL 0"
	int 0x20
	end_probe3
	probe3 "ring 3 INT beyond the IDT"
	int 0xff
	end_probe3
	probe3 "ring 3 POPF keeps IF and IOPL"
	push dword 0x3202
	popfd
	pushfd
	pop eax
	end_probe3
	show "eflags", var(eax)
	probe "ring 3 POPF with IOPL 3 sets IF"
	push dword DATA3
	push dword STACK3
	push dword 0x3002
	push dword CODE3
	push dword .iopl3
	iretd
.iopl3:	push dword 0x0202
	popfd
	pushfd
	pop eax
	cli
	int 0x40
	end_probe
	show "eflags", var(eax)
	probe "return to ring 3 drops DPL 0 data segments"
	mov eax, SMALL
	mov fs, eax
	mov eax, CONFORMING
	mov gs, eax
	enter_ring3 .dropped
.dropped:
	mov eax, fs
	mov ebx, gs
	int 0x40
	end_probe
	show "fs", var(eax)
	show "gs", var(ebx)
	probe "RETF 4 to ring 3"
	push dword DATA3
	push dword STACK3 - 16
	push dword 0x11111111
	push dword CODE3
	push dword .outer
	retf 4
.outer:	mov eax, esp
	mov ebx, cs
	int 0x40
	end_probe
	show "esp", var(eax)
	show "cs", var(ebx)
	probe "IRET to ring 3 with a ring 0 stack"
	push dword DATA
	push dword STACK3
	push dword 2
	push dword CODE3
	push dword .never
	iretd
.never:	end_probe
	probe "IRET to ring 3 with a null stack"
	push dword 0
	push dword STACK3
	push dword 2
	push dword CODE3
	push dword .never2
	iretd
.never2:
	end_probe
	ret

tables:
	probe "LLDT of an LDT"
	mov eax, SYSTEM
	lldt ax
	sldt ebx
	int 0x40
	end_probe
	show "ldtr", var(ebx)
	mov dword [0x5808], 0x0000ffff
	mov dword [0x580c], 0x00cf9300
	try_load "load from the LDT", fs, 0x0c
	try_load "load beyond the LDT", fs, 0x1c
	try_load "load of an empty LDT entry", fs, 0x14
	probe "LLDT of data"
	mov eax, DATA
	lldt ax
	end_probe
	probe "LLDT from the LDT"
	mov eax, 0x0c
	lldt ax
	end_probe
	probe "LLDT null"
	xor eax, eax
	lldt ax
	end_probe
	probe "LTR of a busy TSS"
	mov eax, MAIN_TSS
	ltr ax
	end_probe
	probe "SGDT with 16-bit operands"
	mov dword [FREE + 2], 0xffffffff
	o16 sgdt [FREE]
	movzx eax, word [FREE]
	mov ebx, [FREE + 2]
	int 0x40
	end_probe
	show "limit", var(eax)
	show "base", var(ebx)
	probe "SMSW LMSW cannot leave protected mode"
	smsw eax
	and eax, ~1
	lmsw ax
	smsw eax
	and eax, 1
	int 0x40
	end_probe
	show "pe", var(eax)
	probe "MOV from CR1"
	db 0x0f, 0x20, 0xc8
	end_probe
	probe "LOCK on a load"
	db 0xf0
	mov eax, [FREE]
	end_probe
	probe "MOV to CS"
	db 0x8e, 0xc8
	end_probe
	probe "16 bytes of prefixes"
	times 15 db 0x3e
	nop
	end_probe
	probe "INTO without overflow"
	xor eax, eax
	into
	end_probe
	probe "INTO"
	mov al, 0x7f
	inc al
	into
	end_probe
	probe "INT3"
	int3
	end_probe
	probe "BOUND"
	mov dword [FREE], 1
	mov dword [FREE + 4], 2
	mov eax, 3
	bound eax, [FREE]
	end_probe
	probe "divide error"
	xor ecx, ecx
	div ecx
	end_probe
	probe "AAM 0"
	aam 0
	end_probe
	probe "LTR null"
	xor eax, eax
	ltr ax
	end_probe
	ret

finish_image
