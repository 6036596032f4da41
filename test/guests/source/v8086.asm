; Virtual-8086 mode without VME: what is sensitive to IOPL, ways in and out, segments, the I/O bitmap.
%include "harness.inc"

CODE86		equ 0xf000			; the ROM, as virtual-8086 code sees it
STACK86		equ 0x0c00			; c000, with sp = 1000

; Runs 16-bit code in virtual-8086 mode: name, EFLAGS besides VM.
%macro probe86 2
	probe %1
	mov eax, %2
	call enter86
bits 16
%$begin:
%endmacro

%macro end_probe86 0
	int 0x40
bits 32
	end_probe
%endmacro

; Goes on behind the call in virtual-8086 mode; eax = EFLAGS.
enter86:
	pop ebx
	sub ebx, ROM
	mov var(start), ebx
	push dword 0x5555			; gs fs ds es
	push dword 0x4444
	push dword 0x0000
	push dword 0x2222
	push dword STACK86
	push dword 0x1000
	or eax, 0x20002
	push eax
	push dword CODE86
	push ebx
	xor eax, eax
	xor ebx, ebx
	xor ecx, ecx
	xor edx, edx
	iretd

IOPL3		equ 0x3000

main:
	mov al, 0xff
	out 0x21, al
	out 0xa1, al
	gate IDT + 0x21 * 8, CODE, event_stubs + 0x21 * 16, 0xee, 0
	gate IDT + 0x22 * 8, CODE1, event_stubs, 0xee, 0
	gate IDT + 0x23 * 8, CODE3 & ~3, event_stubs, 0xee, 0
	descriptor CODE1, 0, 0xfffff, 0xbb, 0xc
	mov word [ROM + 0x10000], 0x40cd	; int 0x40, where a processor that does not check limits ends up
	call ways
	call sensitive
	call segments
	call ports
	ret

CODE1		equ FIRST_FREE

ways:
	probe86 "in by IRET, out by INT 40h", IOPL3
	mov ax, cs
	mov bx, ss
	mov cx, es
	mov dx, fs
	mov si, gs
	mov di, sp
	end_probe86
	show "cs", var(eax)
	show "ss", var(ebx)
	show "es", var(ecx)
	show "fs", var(edx)
	and var(esi), 0xffff
	and var(edi), 0xffff
	show "gs", var(esi)
	show "sp", var(edi)
	show "frame cs", var(cs)
	show "eflags", var(eflags)
	show "sp", var(old_esp)
	show "ss", var(old_ss)
	show "es", var(old_es)
	show "ds", var(old_ds)
	show "fs", var(old_fs)
	show "gs", var(old_gs)
	show "esp0", var(handler_esp)
	probe86 "INT through a gate of ring 0", IOPL3
	int 0x20
	end_probe86
	probe86 "INT through a gate of DPL 3", IOPL3
	int 0x21
	end_probe86
	probe86 "INT through a gate to ring 1", IOPL3
	int 0x22
	end_probe86
	probe86 "INT through a gate to ring 3", IOPL3
	int 0x23
	end_probe86
	probe86 "divide error", 0
	xor cx, cx
	div cx
	end_probe86
	show "eflags", var(eflags)
	probe86 "INT3 with IOPL 0", 0
	int3
	end_probe86
	or byte [IDT + 3 * 8 + 5], 0x60
	probe86 "INT3 through a gate of DPL 3 with IOPL 0", 0
	int3
	end_probe86
	or byte [IDT + 4 * 8 + 5], 0x60
	probe86 "INTO with IOPL 0", 0x800
	push ax
	mov al, 0x7f
	inc al
	into
	end_probe86
	ret

%macro sensitive86 2+
	probe86 %1, 0
	%2
	end_probe86
	probe86 {%1, ", IOPL 3"}, IOPL3
	%2
	end_probe86
%endmacro

sensitive:
	sensitive86 "CLI", cli
	sensitive86 "STI", sti
	sensitive86 "PUSHF", pushf
	sensitive86 "PUSHFD", pushfd
	sensitive86 "POPF", popf
	probe86 "INT 40h with IOPL 0", 0
	nop
	int 0x40
	end_probe86
	sensitive86 "HLT", hlt
	sensitive86 "MOV from CR0", mov eax, cr0
	sensitive86 "CLTS", clts
	sensitive86 "LGDT", lgdt [0]
	sensitive86 "SMSW", smsw ax
	sensitive86 "SLDT", sldt ax
	sensitive86 "LAR", lar ax, ax
	sensitive86 "VERR", verr ax
	sensitive86 "ARPL", {db 0x63, 0xc0}
	sensitive86 "LLDT", lldt ax
	probe86 "IRET, IOPL 0", 0
	pushfd
	iret
	end_probe86
	probe86 "IRET, IOPL 3", IOPL3
	push word 0x0ed5
	push cs
	push word (.returned - ROM)
	iret
.returned:
	pushfd
	pop eax
	end_probe86
	show "eflags", var(eax)
	probe86 "IRETD keeps VM and IOPL", IOPL3
	push dword 0x00000002
	push dword CODE86
	push dword (.returned2 - ROM)
	iretd
.returned2:
	pushfd
	pop eax
	end_probe86
	show "eflags", var(eax)
	show "frame", var(eflags)
	probe86 "POPF may change IF, not IOPL", IOPL3
	push word 0x0202
	popf
	pushf
	pop ax
	cli
	end_probe86
	show "flags", var(eax)
	probe86 "PUSHFD shows neither VM nor RF", IOPL3
	pushfd
	pop eax
	end_probe86
	show "eflags", var(eax)
	ret

segments:
	mov dword [0x12340 + 0x10], 0x600d600d
	probe86 "a segment's base is the selector times 16", IOPL3
	mov ax, 0x1234
	mov fs, ax
	mov ebx, [fs:0x10]
	end_probe86
	show "ebx", var(ebx)
	probe86 "word at offset ffff", IOPL3
	mov ax, [0xffff]
	end_probe86
	probe86 "byte at offset 10000 by a 32-bit address", IOPL3
	mov ebx, 0x10000
	mov al, [ebx]
	end_probe86
	probe86 "push at sp = 1", IOPL3
	mov sp, 1
	push ax
	end_probe86
	probe86 "far jump", IOPL3
	jmp (CODE86 + 0x10):(.here - ROM - 0x100)
.here:	mov ax, cs
	end_probe86
	show "cs", var(eax)
	probe86 "far call and RETF", IOPL3
	call CODE86:(.far - ROM)
	mov dx, sp
	int 0x40
.far:	pop bx
	pop cx
	push cx
	push bx
	retf
	end_probe86
	show "cs", var(ecx)
	show "sp", var(edx)
	probe86 "jump beyond ffff", IOPL3
	mov eax, 0x10000
	jmp eax
	end_probe86
	probe86 "LDS", IOPL3
	mov word [es:0], 0
	push word 0x3333
	push word 0x4444
	mov bp, sp
	lds bx, [bp]
	mov ax, ds
	end_probe86
	show "ds", var(eax)
	show "bx", var(ebx)
	ret

ports:
	probe86 "IN from a closed port, IOPL 3", IOPL3
	in al, 0x21
	end_probe86
	and byte [TSS + 104 + 0x21 / 8], ~(1 << (0x21 & 7))
	probe86 "IN from an open port, IOPL 0", 0
	in al, 0x21
	int 0x20				; #GP: IOPL is 0
	end_probe86
	show "al", var(eax)
	probe86 "OUTSB to a closed port, IOPL 3", IOPL3
	mov dx, 0x22
	outsb
	end_probe86
	mov word [TSS + 102], 0x2069		; the bitmap lies beyond the limit
	probe86 "no I/O bitmap", IOPL3
	in al, 0x21
	end_probe86
	mov word [TSS + 102], 104
	probe "IRETD to virtual-8086 mode from ring 3 keeps VM clear"
	enter_ring3 .user
.user:	push dword 0x20002
	push dword CODE3
	push dword .here
	iretd
.here:	pushfd
	pop eax
	int 0x40
	end_probe
	show "eflags", var(eax)
	show "frame", var(eflags)
	ret

finish_image
