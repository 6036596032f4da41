/** What other programs made of {@link sample} and {@link x86Sample}, in base64. */

/** 3000 bytes of texts, noise and repetitions. */
export function sample(size = 3000): Uint8Array {
	const next = generator();
	const bytes: number[] = [];
	while (bytes.length < size) {
		const k = next();
		if (k % 3 === 0 && bytes.length > 300) {
			const distance = 1 + ((k >>> 4) % 300);
			for (let left = 3 + ((k >>> 8) % 40); left > 0; left--) bytes.push(bytes.at(-distance)!);
		} else {
			bytes.push(k % 5 === 0 ? 0x41 + ((k >>> 3) % 26) : (k * 7) & 0xff);
		}
	}
	return Uint8Array.from(bytes.slice(0, size));
}

/** 1500 bytes in which calls and jumps are frequent. */
export function x86Sample(): Uint8Array {
	const next = generator();
	const bytes: number[] = [];
	while (bytes.length < 1500) {
		const k = next();
		if (k % 6 === 0) {
			const distance = (next() % 5000) - 2500;
			bytes.push(
				k & 64 ? 0xe8 : 0xe9,
				distance & 0xff,
				(distance >> 8) & 0xff,
				(distance >> 16) & 0xff,
				distance >>> 24,
			);
		} else {
			bytes.push(k % 11 === 0 ? 0xe8 : k & 0xff);
		}
	}
	return Uint8Array.from(bytes.slice(0, 1500));
}

/** The generator of C's standard. */
function generator(): () => number {
	let state = 12345n;
	return () => {
		state = (state * 1103515245n + 12345n) & 0x7fffffffn;
		return Number(state >> 16n);
	};
}

const decode = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, "base64"));

/** By Python's lzma, lc=3, lp=0, pb=2. */
export const LZMA_STREAM = decode(
	"XQAAAQC4CwAAAAAAAAACB8x/bah40Ycm1MzUOIwJVs6Bx55LoSZ1BoqgE4DHA4UfcxTKyFkMNzNqFU08jo50b2DolaqUmINfxbquPjxor1Kh+5" +
		"uyWThcVYDD4BgjTdLYtU+SyNw+ZfS9fK5/f9JNUPh61FR+GgBWIYbSC0H5aZxm0A0LLrdB1GoJkERefhNvQ3iQZM6GiWDa2zzM6HWDgd/TuMn+" +
		"zMXpWOyQq20+cT91YuAU87C3USF2iVu4bCc2OnFDxlX6hTZcQ9Fc9KpegkvoJA41CUEeWiehKYSPMOHF0Wyj+mbVmSXYkR7aw7iZP5SwqBp29N" +
		"sUNEO9EoPfX3rez+h/q1Cl2x5W9SR8Nt497n8j0OQCta0e9em2fqYrNb59iqPf0i+r1976gokYucBCGoFO6qpfAd9pe691eGaPVRQKhJAlFPnK" +
		"FuvkwmsQHV4srWTfAC4sbDXTSEqEHIuS7jThtlLQcj7JL1xEi3KBgDLbFF2K+xDhL3LyZxQV34xX0TFycZVn+YioWswlIvBQhfv11IycIDQY32" +
		"THZmW0+6ibeh2QX5xUV2BzGhHoQSuATJuwA/l4+FQNg4Em9aSPlrC2M9rb5/SL0uOg+bRD668ycZdGcSzD3rDsvRJDy0RDPmOOYofAbuZg35UK" +
		"L0X+8fAZys6bKSWHFJR5J5Q4d9LgtjajwVQfDo7CRBNYbGIRy85nttSJfarbxkQpjtodLdP0izMkAYkxqRGskeqcIibl0eO2S9f/O/FIKCK2l9" +
		"YOnViWK5JJe+bUrDF4YsOOCqz6h6lnjiaKG5we4KoAvizsRpzORBVIQX2tfhUbjtgeBwtfh2c9KbsQoflTw2DfTJVzxXNSxC9ZNIufozxj/BZX" +
		"iew0dSjHXt0jXJhT6u95sGH71zh4y3exbowZQ6yU8uxTRh50Wd6IMnhtxhnwNPGGS0F9jj497mPZ6vXKJgZJIvxZmbGMjKoqXBkpCa6Qr9rcQZ" +
		"YD4FaC7yhs+i+R5IrX0EzQ53QHAgbVJgUdHtiVJnFxGjE8DYZFxoo6Bj3gf9yhPbAcCkoisrzxX9O8b7Df1QlAhJIBid8DTTHFkxZX7f7zs+C7" +
		"IXz/W9FhT+CqgPt1e8eJAv5WpKijK5s/AlLG6P/9BJJh",
);

/** lc=1, lp=2, pb=4. */
export const LZMA_OTHER_PROPERTIES = decode(
	"xwAAAQC4CwAAAAAAAAACBxRqZskRkZmPoVHPp9Cuj99kvdTPcZ78oxu4sTeI2ULWIWMZYwvREYiQlfVTN+3IYUT7nJCHD0/W/pnS+VjRzDZeCM" +
		"fmZN1sCmoCgaUFp8OmzINw4bfs6IWE4TevJPybsIDl6La3ecSJ8NdiSIYiDaLP1KqycZXYq/0N+kzJdWnAyH6UgADxc22iXozCo542QP7bM2kO" +
		"Uo5HPxgTzN7hISG4l1F8lLK6q5Pq9Beiuzm+l5uOhaN9F9XjyOGvjqcoYSVWJcTlH0hqlUWV5c2vHMUvo/D8pW38vSWkJ4oEOKGVDI8wDzBOdJ" +
		"Nh6YR0YzNpSA0X74+L+UV5NRPVF2IpbcnRbItuF6g/tMq9qmKDDQlMnA9RVNt6Bhs/Nb4qbZnSvNW3GlDeUNXOZZwXTBxbQbRO9xOZHIxLdZ7b" +
		"x2uOpIY05Y3ez3DuSf/15eR53mTi4njZxFm2m2F4NV3UYTKnfLUYCxw4Pj9qsv4QJgUjKf8P9zRmdf2K2uf5Kboufz6eDc/megcYs8y6cvVdmi" +
		"gRCep9qrLxteJOiGZQfypgOKagR3jiWM2lM+/9dtGr3AhdK9xQl1Ra6o8WDMPPrWtkr0+meMuF8bJBBNEep2rZt9fVp6Z9NB49yq+xv7vltDPV" +
		"U3gKOSXPe1ztjdGc2Ct/UvZ+Cz13ENzqcT/jHb0+3X+vjqh9oW33huO7zSXMckfb4IguM8UHk1PrMipoo6JgONIk7eOuIynDRPf9Wi5M0i6Cin" +
		"wjOyXMXEwyr7n9WGUzFtuw2tkVrncpJADPr5sIO7W+n+C2a82EU5pExlXuMHdivDjyOgIY+a1EUU0VfawBoNrkCFJbVUi8KIOSAl8aLEnl2Fk7" +
		"E1dC4t3MUFGTIOpZ0ZOLvHvqh5pprXbrOM/83WzRAQZGWpAFkqMlFKU2ZLB7KpJSGl8hdmgj9HdjS50QNpYcSXjRfjBR1xJ+YNJRRhBQW9sEcN" +
		"ztFdjnKDTiLY7QadEPPoFQ8sDQbwGEUew110pXFoClRw8H+AtQ9WeBLsoE9SHcksk7zzd2QOk8OO6TfVvOlwZE0jc9WSYDlhEDdE57DNnnlspd" +
		"qRbcj1g5fHp6fVkBxlfogJkLpEiWOq/Q+eHsVTmYzy14wI71duL//XgZww==",
);

/** x86Sample, by Python's lzma with its x86 filter before. */
export const LZMA_X86 = decode(
	"XQAAAQDcBQAAAAAAAAB0Lz0gC+6bYsq6wjJuLKWQHiPZtTeLqZhm1PyaPQN0mmuLwCyfbk0RHTpmKeZB318BSdqcBzmXRKNe1x2MvVBsZLYyO9" +
		"5CbqdBZIc1Cn6EXD4CDQ4ulnM4pgHqKss/4RfY8ZNAmrAeDa52dOZkaK5E9HRY2DA6AqTWsv9YMFHxUyKrjCb7cD7Gu0gDdSXdx3c/TX4IsGcV" +
		"3j9YXsDd2i0va0pcg2XyrseCMI4A5IT/Yo2c14aBUyH/bf5pMCMevYNVt4pTFD+NhIVHvFzfXG16hhePYxUHYH3QC0N+8QW+Oju/rkPnYzBWFi" +
		"EO+KKvpF1Vku5nAJ4xSK/99znpVTnTs4u/8Xe3sQioLDtf1qG2hpE47gjVRN7noYbIOBKnnl/ZUsLkBWeYp2F4zedSgt/2JOdbk7qpiZzAZE4c" +
		"C672hqzcjVH4LpNS8Vl5tlALd4fElxo/oMMPDLFlOUsL4RB8z+6ircz1iPtyehckLb1Yi1KAp0E61ajTnNGf6x3HcEgJLL58AJbqk6wpFnPLSa" +
		"tTmpk6NFsvtJhaaSc30n58d+f6Gzgi9YfyO2TmpXZY4CcgyHnmShoWVJY9reP/riT/q1i/aB9CZ8bQmQOYEwpHqKdENVj1r8B4PmS9VuwR9tmk" +
		"EvIwvTlSbW2jIppXivtEkuucZIv7xyXc8j04LKkIO1XJMYdonIg94/71HT2RhZ24sNLsG299qhAg226qjqkTSWU757CtMwrAoz3upmJ88Ky9hp" +
		"v5exU6ZTrmTkh2RwZWCxmdM5S0TkyloTA4h8wIkd44s7WrU+JnQo060fMWEveHmsznkuc9QCB0q2LWc+hChFrctu3vtfdjVu6Y+p5yBSYe6X6Y" +
		"DDyE0uyK1T4/+MJKrpp6s7YogZ4ywVqduIsbcbMgOVmM4bY3vG4Of+zt1aM8gjDNnq0sUfUbDjbuNSFLdJvFgedyZZ5Ksada71PSycQUM4Q1Ku" +
		"/IPZxgL4do84rlCP6HkR3WUAyTELVZTW8gwXdlRvgtrVHJnIV0yPC9L1aP6aHp2sjZhuJYtkSMg9UtZR0moUU8BoSGFruLKZ9Mm3LqASgHEedv" +
		"HrYrcC3fetYJZR5lsZh4Lq3+tDnbSb+HM3m7mq1LyV3IMxy8J0YgMDFVMdSQgffi6dIZ5ysSC90JGLYUu7n7l/nVDrzmLNB/eZILLFXfkMF3zT" +
		"55D2cYRdLtQrP/E8BFlvtO8WggTVxTrIfb6FLd47nhy16Zz28q8MEXncqxl8udfrCpdTV1L4hQDMjVpGT3Ys04ghiuxdxKW9Z3dvTfYIVnSH0O" +
		"a+RLHjrKkZvGdkC6SRYuUlEJekNGx232z785l790BOFtxBsa69YgThvnyDjoYBg1P7vYpRM0HtSjgpqHkVL3NWDPIDuaU3BPu2Ua2FbjHglkjC" +
		"YRT1kmRKoxd7WzU7nvhTurv5bPdsmiws/ECQ3tfmUff5/D+33eO6YOavf+1T0g2fLwrma6M/fPmK+eDIagYfsnsijx9/T4m+ptljMRe0Z1bvqt" +
		"pwlBUdvorZlfZWQppLhEXtdxi8UjGzvvyM/o8OPtbL3FfDpWIyFxsfHRumjxLZCbwvku3mM0JXK1z30G0vgUG0HkLn/rUElV0iaZvGkq1BJSSh" +
		"Bv/GvHdhY318y734u51K6Y7bSaLnkUl72TnUQ71N2fGtgwf+JAuV8jDLlvSOT2qSCJK83phT2rx5Ivqb9ika2TZmL23YYu6aLQ0qWFXoc1Bzea" +
		"nWb0qrZXbCotb5hnzKZK/jqgmv/mkxqi",
);

/** By edk2's TianoCompress. */
export const TIANO_STREAM = decode(
	"YQMAALgLAAAClWzDAzKsq9OivWcnk7G5nDl73ve7vSOUncVM3+/zP9ttntl+WlKQu6ArjjuDlHNRy6vVNd3i53l6Pe86vbcGocsdHDqGG25Uhj" +
		"uHwXKuoVdLbNG2oYVNmhdO6Vw66Nl60Wf6iICvjCI07T2ZsJlKeTAicMOu6deLO4NeybQk9fj0JwUb7WsdYglKTUSX8+y8f8VJGNwx+IQKlf67" +
		"nGwCYxplt3BXCRkLhG0kHinbB2GsHgrhz2PZwBZaoj+WB05KD/0oeoeBDMOwd6KRtN7MpBnOvb3oIRN16f2db98n55IC+9YQha602H6JyovCPX" +
		"73J64kgHAch/A/yJAqnpHHOGLWkBjZFsOyfJHhQM9GdEx0ur4QdmLkIsA/0QmNoM/kdDnQzLnFdiAl2RE3/zttrR3kNzmZ/Qhtr4RR2bdTuhII" +
		"i/Dqz1XlcKh0Dd5bsZDCHI/vMOFeb2gqpaUpnou7goSzMwgy4AAIyQJ2BZw4ZimYkBmE8SPXlwP7JlLppe4jg9QlTuOeGZvVHtj2oHxX75trE6" +
		"24WrVq16vFjhC4VRvB7fOqySZdJhdpJeaqOHSWU96WhengVWp/NRt++LI3P2/EHT70syXEB80I4BqdmJ6//MicrzvzCZALMFYI1ZG4ooAutLdG" +
		"3Zd+prbJoWdIo5WelaGZgVdxXDGm5SGNQwiS0Pj7RZKYWVI/cMnMe2W/E55veHxLTfqLjuhVLDyugA6CevODQWXK+Nm9/IlB5IoJHzcKxTuo9T" +
		"eUbuOWmJkbVsJVwnXSgvmf41pXiJA/fWoxuZR/0sqlrWfb4XvcER4JyrhNcxne7j2jyaOA0swcyXJ98xwglmiFCOE6WBLu59zGYspil08JuedG" +
		"pbJmYminJtsyayTzwQOksRy5n9B7IHFzjtDWQKxlI9r8FqTH2wEsmNOknd1TyC3p67zysUDQamJOZqd0yodjRepZ7bWPPVEmOKKxPp6YlJ3Jqm" +
		"tfhCahE1GVYdY820TH5z/K45RXgeatVeIHjc0QW3VvdYrfjRgcT636/I9RSjURn292bsJfglTg3HEV5x+GDDmR6rk7P/rJdo2JlEOsQMbpq3w2" +
		"UvlLO3PtG1Rw1aaf8QgvZHydOllAVOD/SgzpMrr9PDXsp/bPfT75lL0SQbNp38AA",
);

/** By edk2's TianoCompress --uefi. */
export const EFI_STREAM = decode(
	"YQMAALgLAAAClWzDAzKsq9OivWcnk7G5nDl73ve7vSOUncVM3+/zP9ttntl+WlKQu6ArjjuDlHNRy6vVNd3i53l6Pe86vbcGocsdHDqGG25Uhj" +
		"uHwXKuoVdLbNG2oYVNmhdO6rh10bL1os/1EQFfGERp2nszYTKU8mBE4Ydd068Wdwa9k2hJ6/HoTgo32tY6xBKUmokv59l4/4qSMbhj8QgVK/13" +
		"ONgExjTLbuCuEjIXCNpIPFO2DsNYPBXDnsezgCy1RH8sDpyUH/pQ9Q8CGYdg70Ujab2ZSDOde3vQQibr0/s6375PzyQF96whC11psP0TlReEev" +
		"3uT1xJAOA5D+B/kSBVPSOOcMWtIDGyLYdk+SPCgZ6M6JjpdXwg7MXIRYB/ohMbQZ/I6HOhmXOK7EBLsiJv/nbbWjvIbnMz+hDbXwijs26ndCQR" +
		"F+HVnqvK4VDoG7y3YyGEOR/eYcK83tBVS0pTPRd3BQlmZhBlwAARkgTsCzhwzFMxIDMJ4kevLgf2TKXTS9xHB6hKncc8MzeqPbHtQPiv3zbWJ1" +
		"twtWrVr1eLHCFwqjeD2+dVkky6TC7SS81UcOksp70tC9PAqtT+ajb98WRuft+IOn3pZkuID5oRwDU7MT1/+ZE5XnfmEyAWYKwRqyNxRQBdaW6N" +
		"uy79TW2TQs6RRys9K0MzAq7iuGNNykMahhElofH2iyUwsqR+4ZOY9st+Jzze8PiWm/UXHdCqWHldAB0E9ecGgsuV8bN7+RKDyRQSPm4VindR6m" +
		"8o3cctMTI2rYSrhOulBfM/xrSvESB++tRjcyj/pZVLWs+3wve4IjwTlXCa5jO93HtHk0cBpZg5kuT75jhBLNEKEcJ0sCXdz7mMxZTFLp4Tc86N" +
		"S2TMxNFOTbZk1knnggdJYjlzP6D2QOLnHaGsgVjKR7X4LUmPtgJZMadJO7qnkFvT13nlYoGg1MSczU7plQ7Gi9Sz22seeqJMcUVifT0xKTuTVN" +
		"a/CE1CJqMqw6x5tomPzn+VxyivA81aq8QPG5ogture6xW/GjA4n1v1+R6ilGojPt7s3YS/BKnBuOIrzj8MGHMj1XJ2f/WS7RsTKIdYgY3TVvhs" +
		"pfKWdufaNqjhq00/4hBeyPk6dLKAqcH+lBnSZXX6eGvZT+2e+n3zKXokg2bTv4AA",
);
