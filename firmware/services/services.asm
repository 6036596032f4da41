; What real-mode code finds behind its interrupt vectors on a machine without firmware: handlers that acknowledge hardware
; interrupts and count timer ticks, and of the BIOS calls those that tell how much memory there is. Any other call returns; where
; a carry says that it failed, with carry.
;
; tsvmm puts this at F000:E000, fills in the words at its start, and makes the vectors.

bits 16
org 0xe000

MAP_ENTRIES	equ 16
MAP_ENTRY	equ 20
BDA		equ 0x40
TICKS		equ 0x6c
SMAP		equ 0x534d4150

; Where vectors go: all of them, the timer, other interrupts of the first and of the second 8259, calls that fail, memory size,
; system services.
	dw nothing, timer, first, second, fail, base_memory, system
; Filled in: KiB above 1 MiB up to 16 MiB, units of 64 KiB above 16 MiB, ranges in the map, the map.
low_kib:	dw 0
high_units:	dw 0
map_count:	dw 0
map:		times MAP_ENTRIES * MAP_ENTRY db 0

timer:
	push ds
	push ax
	mov ax, BDA
	mov ds, ax
	inc dword [TICKS]
	jmp first.acknowledge
second:
	push ds
	push ax
	mov al, 0x20
	out 0xa0, al
	jmp first.acknowledge
first:
	push ds
	push ax
.acknowledge:
	mov al, 0x20
	out 0x20, al
	pop ax
	pop ds
nothing:
	iret

base_memory:
	mov ax, 640
	iret

fail:
	mov ah, 0x86
	push bp
	mov bp, sp
	or byte [bp + 6], 1			; carry in the flags that IRET loads
	pop bp
	iret

system:
	cmp ax, 0xe820
	je .map
	cmp ax, 0xe801
	je .sizes
	cmp ah, 0x88
	je .extended
	jmp fail

.extended:
	mov ax, [cs:high_units]
	cmp ax, 0x300				; 63 MiB at most
	jbe .fits
	mov ax, 0x300
.fits:
	shl ax, 6
	add ax, [cs:low_kib]
	jmp succeed

.sizes:
	mov ax, [cs:low_kib]
	mov cx, ax
	mov bx, [cs:high_units]
	mov dx, bx
	jmp succeed

.map:
	cmp edx, SMAP
	jne fail
	cmp ecx, MAP_ENTRY
	jb fail
	cmp bx, [cs:map_count]
	jae fail
	push si
	push di
	push ds
	push cs
	pop ds
	imul si, bx, MAP_ENTRY
	add si, map
	mov cx, MAP_ENTRY
	cld
	rep movsb
	pop ds
	pop di
	pop si
	mov ecx, MAP_ENTRY
	mov eax, SMAP
	inc bx
	cmp bx, [cs:map_count]
	jb succeed
	xor ebx, ebx

succeed:
	push bp
	mov bp, sp
	and byte [bp + 6], ~1
	pop bp
	iret
