; Option ROM that starts a Linux kernel from fw_cfg under a BIOS: `tsvmm run --bios ... --kernel ...`.
;
; It is a boot device of its own (a bootstrap entry vector in a PnP header). When the BIOS boots it, it lets fw_cfg copy each
; part of the kernel to where fw_cfg says, by DMA, and enters the kernel's real-mode code
; (Linux Documentation/arch/x86/boot.rst, "Running the kernel"). tsvmm fills in the checksums.

bits 16
org 0

FW_CFG_SELECT	equ 0x510
FW_CFG_DATA	equ 0x511
FW_CFG_DMA	equ 0x514			; address, big endian: high half here, low half at +4 starts

; Keys: for each part its address, its size, its bytes.
KERNEL_ADDRESS	equ 0x07
KERNEL_SIZE	equ 0x08
INITRD_ADDRESS	equ 0x0a
INITRD_SIZE	equ 0x0b
KERNEL_DATA	equ 0x11
INITRD_DATA	equ 0x12
CMDLINE_ADDRESS	equ 0x13
CMDLINE_SIZE	equ 0x14
CMDLINE_DATA	equ 0x15
SETUP_ADDRESS	equ 0x16
SETUP_SIZE	equ 0x17
SETUP_DATA	equ 0x18

DMA_READ	equ 1 << 1
DMA_SELECT	equ 1 << 3

ROM_SIZE	equ 1024

	db 0x55, 0xaa, ROM_SIZE / 512
	jmp initialise				; called once while the BIOS starts
	times 0x1a - ($ - $$) db 0
	dw pnp

align 16, db 0
pnp:
	db "$PnP", 1, 2
	dw 0
	db 0
	db 0					; checksum
	dd 0
	dw maker, product
	db 0, 0x80, 0x02			; class: other mass storage
	db 0x64					; shadowable, read cacheable, a boot device of its own
	dw 0, 0
	dw boot
	dw 0, 0

maker:		db "tsvmm", 0
product:	db "Linux from fw_cfg", 0

initialise:
	xor ax, ax
	retf

boot:
	cld
	xor ax, ax
	mov ds, ax
	mov si, parts
.part:
	mov bx, [cs:si]				; address, size, data
	test bx, bx
	jz start
	call item
	mov ebp, eax				; address
	mov bx, [cs:si + 2]
	call item				; size
	mov bx, [cs:si + 4]
	add si, 6
	test eax, eax
	jz .part
	call copy
	jmp .part

parts:
	dw SETUP_ADDRESS, SETUP_SIZE, SETUP_DATA
	dw INITRD_ADDRESS, INITRD_SIZE, INITRD_DATA
	dw KERNEL_ADDRESS, KERNEL_SIZE, KERNEL_DATA
	dw CMDLINE_ADDRESS, CMDLINE_SIZE, CMDLINE_DATA
	dw 0

start:
	mov bx, CMDLINE_ADDRESS
	call item
	mov ebp, eax
	mov bx, SETUP_ADDRESS
	call item
	cli
	sub ebp, eax
	sub bp, 16				; the stack ends below the command line
	shr eax, 4
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	mov ss, ax
	movzx esp, bp
	add ax, 0x20
	push ax
	xor eax, eax
	push ax
	mov ebx, eax
	mov ecx, eax
	mov edx, eax
	mov esi, eax
	mov edi, eax
	mov ebp, eax
	retf

; EAX := the 32-bit item of key BX. Changes CX and DX.
item:
	mov dx, FW_CFG_SELECT
	mov ax, bx
	out dx, ax
	mov dx, FW_CFG_DATA
	mov cx, 4
.byte:
	in al, dx
	ror eax, 8
	loop .byte
	ret

; Copies the EAX bytes of key BX to physical address EBP. Changes EAX, ECX, EDX and DI.
copy:
	mov edx, ebp
	bswap edx
	push edx				; the descriptor, big endian, from its end
	push dword 0
	bswap eax
	push eax
	movzx eax, bx
	shl eax, 16
	or ax, DMA_READ | DMA_SELECT
	bswap eax
	push eax
	movzx edi, sp
	xor eax, eax
	mov dx, FW_CFG_DMA
	out dx, eax
	mov ax, ss
	shl eax, 4
	add eax, edi
	bswap eax
	add dx, 4
	out dx, eax
.wait:
	mov eax, [ss:di]			; 0: done; bit 0, here bit 24: failed
	test eax, ~0x01000000
	jnz .wait
	add sp, 16
	test eax, eax
	jnz failed
	ret

failed:
	mov si, message
.character:
	mov al, [cs:si]
	inc si
	test al, al
	jz .stop
	mov ah, 0x0e
	mov bx, 7
	int 0x10
	jmp .character
.stop:
	hlt
	jmp .stop

message:	db "fw_cfg does not deliver the kernel", 13, 10, 0

	times ROM_SIZE - ($ - $$) db 0
