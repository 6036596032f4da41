; Erases and programs the flash directly below the ROM, block after block and pass after pass. On the debug console it says what must
; be in the flash's file by then: `s` at the start, `e` after an erase has been confirmed, `p` after a return to the array;
; `.` at the end.
;
; A byte is what offset and pass make of it, 1 to 251: never as erased, and never as in the pass before.
; The numbers at SETTINGS are put there by whoever uses this.

	bits 16
	org 0xf0000

CODE		equ 0x08
DATA		equ 0x10
SETTINGS	equ 0xf0200

struc settings
	.base:		resd 1
	.size:		resd 1
	.block:		resd 1		; bytes of an erase block
	.stride:	resd 1		; from one programmed byte to the next
	.burst:		resd 1		; bytes programmed between two returns to the array; 0: never returns
	.passes:	resd 1
	.end:		resd 1		; 0: exit; 1: reset; 2: triple fault; 3: runs on for ever
endstruc

%define setting(name) dword [SETTINGS + settings. %+ name]

start:
	cli
	o32 lgdt [cs:gdt_pointer - start]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword CODE:protected

	bits 32
protected:
	mov eax, DATA
	mov ds, eax
	mov ss, eax
	mov esp, 0x8000
	mov al, 's'
	out 0xe9, al
	mov edi, setting(base)
	mov ebp, 1			; pass
.pass:
	xor ebx, ebx			; offset in the flash
.block:
	mov byte [edi + ebx], 0x20
	mov byte [edi + ebx], 0xd0
	mov al, 'e'
	out 0xe9, al
	mov esi, ebx
	add esi, setting(block)		; end of the block
	mov ecx, setting(burst)
.byte:
	imul eax, ebp, 37
	imul edx, ebx, 11
	add eax, edx
	mov edx, ebx
	shr edx, 8
	add eax, edx
	xor edx, edx
	push ecx
	mov ecx, 251
	div ecx
	pop ecx
	inc edx
	mov byte [edi + ebx], 0x10
	mov [edi + ebx], dl
	add ebx, setting(stride)
	dec ecx
	jz .array
	cmp ebx, esi
	jb .byte
	cmp setting(burst), 0
	je .programmed
.array:
	mov byte [edi], 0xff
	mov al, 'p'
	out 0xe9, al
	mov ecx, setting(burst)
	cmp ebx, esi
	jb .byte
.programmed:
	mov ebx, esi
	cmp ebx, setting(size)
	jb .block
	inc ebp
	cmp ebp, setting(passes)
	jbe .pass

	mov al, '.'
	out 0xe9, al
	mov eax, setting(end)
	dec eax
	js .exit
	jz .reset
	dec eax
	jz .fault
	jmp $
.exit:
	xor eax, eax
	out 0xf4, al
.reset:
	mov dx, 0xcf9
	mov al, 6
	out dx, al
	hlt
.fault:
	push 0
	push 0
	lidt [esp]
	ud2

	align 8
gdt:
	dq 0
	dq 0x00cf9b000000ffff
	dq 0x00cf93000000ffff
gdt_pointer:
	dw $ - gdt - 1
	dd gdt
