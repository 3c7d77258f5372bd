//go:build !purego

#include "textflag.h"

// Which of 32 places may begin a pattern, as far as byte k of it goes: for each
// byte of src, lo[byte&15] & hi[byte>>4]. There is no shift of single bytes, so
// 16-bit ones are shifted and what came over from the neighbour is masked off.
// VPSHUFB looks up within each 16-byte half, hence tables that are there twice.
// src is an unaligned load, so byte k of place i is just src + k.
#define LOOKUP(src, lo, hi, out, tmp) \
	VMOVDQU src, out           \
	VPSRLW  $4, out, tmp       \
	VPAND   Y8, out, out       \
	VPAND   Y8, tmp, tmp       \
	VPSHUFB out, lo, out       \
	VPSHUFB tmp, hi, tmp       \
	VPAND   tmp, out, out

// func teddyMark(masks []uint64, b []byte, t *teddy)
//
// Registers: SI text, DI masks, CX blocks left; Y0-Y3 lo[0..3], Y4-Y7 hi[0..3],
// Y8 the low half of every byte, Y9 and Y10 what suits so far of the places
// 0-31 and 32-63, Y15 zero.
TEXT ·teddyMark(SB), NOSPLIT, $0-56
	MOVQ masks_base+0(FP), DI
	MOVQ masks_len+8(FP), CX
	MOVQ b_base+24(FP), SI
	MOVQ t+48(FP), AX
	TESTQ CX, CX
	JZ    done
	VBROADCASTI128 0(AX), Y0
	VBROADCASTI128 16(AX), Y1
	VBROADCASTI128 32(AX), Y2
	VBROADCASTI128 48(AX), Y3
	VBROADCASTI128 64(AX), Y4
	VBROADCASTI128 80(AX), Y5
	VBROADCASTI128 96(AX), Y6
	VBROADCASTI128 112(AX), Y7
	MOVQ $0x0f0f0f0f0f0f0f0f, DX
	VMOVQ DX, X8
	VPBROADCASTQ X8, Y8
	VPXOR Y15, Y15, Y15

block:
	XORL  BX, BX
	LOOKUP(0(SI), Y0, Y4, Y9, Y11)
	LOOKUP(32(SI), Y0, Y4, Y10, Y12)

	// Most blocks end here, or one byte further on.
	VPOR  Y9, Y10, Y11
	VPTEST Y11, Y11
	JZ    store

	LOOKUP(1(SI), Y1, Y5, Y13, Y11)
	LOOKUP(33(SI), Y1, Y5, Y14, Y12)
	VPAND Y13, Y9, Y9
	VPAND Y14, Y10, Y10
	VPOR  Y9, Y10, Y11
	VPTEST Y11, Y11
	JZ    store

	LOOKUP(2(SI), Y2, Y6, Y13, Y11)
	LOOKUP(34(SI), Y2, Y6, Y14, Y12)
	VPAND Y13, Y9, Y9
	VPAND Y14, Y10, Y10
	LOOKUP(3(SI), Y3, Y7, Y13, Y11)
	LOOKUP(35(SI), Y3, Y7, Y14, Y12)
	VPAND Y13, Y9, Y9
	VPAND Y14, Y10, Y10

	// A place where no pattern is left is a zero byte.
	VPCMPEQB Y15, Y9, Y9
	VPCMPEQB Y15, Y10, Y10
	VPMOVMSKB Y9, BX
	VPMOVMSKB Y10, DX
	SHLQ $32, DX
	ORQ  DX, BX
	NOTQ BX

store:
	MOVQ BX, (DI)
	ADDQ $64, SI
	ADDQ $8, DI
	DECQ CX
	JNZ  block
	VZEROUPPER

done:
	RET
