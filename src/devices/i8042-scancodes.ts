/**
 * How the keyboard controller turns scan set 2 into set 1, for codes 0x00..0x7F; 0x83 and 0x84 are 0x41 and 0x54, the codes
 * above stay.
 */
const SET2_TO_SET1 = [
	"ff 43 41 3f 3d 3b 3c 58 64 44 42 40 3e 0f 29 59",
	"65 38 2a 70 1d 10 02 5a 66 71 2c 1f 1e 11 03 5b",
	"67 2e 2d 20 12 05 04 5c 68 39 2f 21 14 13 06 5d",
	"69 31 30 23 22 15 07 5e 6a 72 32 24 16 08 09 5f",
	"6b 33 25 17 18 0b 0a 60 6c 34 35 26 27 19 0c 61",
	"6d 73 28 74 1a 0d 62 6e 3a 36 1c 1b 75 2b 63 76",
	"55 56 77 78 79 7a 0e 7b 7c 4f 7d 4b 47 7e 7f 6f",
	"52 53 50 4c 4d 48 01 45 57 4e 51 4a 37 49 46 54",
].flatMap((row) => row.split(" ").map((code) => Number.parseInt(code, 16)));

/** F7 and SysRq have set 2 codes above 0x7F. */
const HIGH_CODES = new Map([
	[0x83, 0x41],
	[0x84, 0x54],
]);

const SET1_TO_SET2 = new Map([...SET2_TO_SET1.entries()].map(([set2, set1]) => [set1, set2]));
for (const [set2, set1] of HIGH_CODES) SET1_TO_SET2.set(set1, set2);

/** Set 1 code (0xE0xx: extended) : set 3 code. */
const SET3 = new Map(
	[
		"01:08 02:16 03:1e 04:26 05:25 06:2e 07:36 08:3d 09:3e 0a:46 0b:45 0c:4e 0d:55 0e:66 0f:0d",
		"10:15 11:1d 12:24 13:2d 14:2c 15:35 16:3c 17:43 18:44 19:4d 1a:54 1b:5b 1c:5a 1d:11",
		"1e:1c 1f:1b 20:23 21:2b 22:34 23:33 24:3b 25:42 26:4b 27:4c 28:52 29:0e 2a:12 2b:5c",
		"2c:1a 2d:22 2e:21 2f:2a 30:32 31:31 32:3a 33:41 34:49 35:4a 36:59 37:7e 38:19 39:29 3a:14",
		"3b:07 3c:0f 3d:17 3e:1f 3f:27 40:2f 41:37 42:3f 43:47 44:4f 57:56 58:5e 45:76 46:5f 56:13",
		"47:6c 48:75 49:7d 4a:84 4b:6b 4c:73 4d:74 4e:7c 4f:69 50:72 51:7a 52:70 53:71",
		"e01c:79 e01d:58 e035:77 e037:57 e038:39 e047:6e e048:63 e049:6f e04b:61 e04d:6a e04f:65",
		"e050:60 e051:6d e052:67 e053:64 e05b:8b e05c:8c e05d:8d e11d:62",
	].flatMap((row) =>
		row.split(" ").map((pair) => {
			const [set1, set3] = pair.split(":").map((code) => Number.parseInt(code, 16));
			return [set1 ?? 0, set3 ?? 0] as const;
		}),
	),
);

/** The Pause key: it has no release code of its own. */
export const KEY_PAUSE = 0xe11d;
const KEY_PRINT = 0xe037;

/** One byte of set 2 as the controller translates it, without the release bit. */
export function translate(set2: number): number {
	return SET2_TO_SET1[set2] ?? HIGH_CODES.get(set2) ?? set2;
}

/** The set 3 code of a key, or undefined. */
export function set3Code(key: number): number | undefined {
	return SET3.get(key);
}

/**
 * What a keyboard sends for a key.
 * @param key set 1 make code: 0x01..0x7F, 0xE001..0xE07F for extended keys, {@link KEY_PAUSE}
 * @param set 1, 2 or 3
 * @returns the bytes; none when the set has no code for the key or its release
 */
export function keyBytes(key: number, pressed: boolean, set: number): number[] {
	if (set === 3) {
		const code = SET3.get(key);
		if (code === undefined) return [];
		return pressed ? [code] : [0xf0, code];
	}
	if (key === KEY_PAUSE) {
		if (!pressed) return [];
		return set === 1 ? [0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5] : [0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77];
	}
	if (key === KEY_PRINT) {
		// Print Screen pretends that Shift is down.
		const [shift, print] = [plain(0x2a, pressed, set), plain(0x37, pressed, set)];
		return pressed ? [0xe0, ...shift, 0xe0, ...print] : [0xe0, ...print, 0xe0, ...shift];
	}
	const code = plain(key & 0x7f, pressed, set);
	return key >> 8 === 0xe0 && code.length > 0 ? [0xe0, ...code] : code;
}

function plain(code: number, pressed: boolean, set: number): number[] {
	if (set === 1) return [pressed ? code : code | 0x80];
	const set2 = SET1_TO_SET2.get(code);
	if (set2 === undefined) return [];
	return pressed ? [set2] : [0xf0, set2];
}
