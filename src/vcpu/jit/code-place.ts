import { KEY } from "../layout.ts";

/** Where code of one mode runs: what turns an IP into a linear address. */
export interface CodePlace {
	/** Mode key. */
	readonly key: number;
	/** Base and last IP of CS, 32 bits each; 0 in 64-bit mode. */
	readonly csBase: number;
	readonly csHigh: number;
}

/**
 * IPs are numbers. Those of 64-bit mode are signed, as canonical addresses are: of 48 bits, they are exact.
 * A unit lies in one region of 4 GiB: this is the upper half of an IP in it.
 */
export function regionOf(ip: number): number {
	return Math.floor(ip / 0x1_0000_0000);
}

/** Whether an IP is one of 48 bits: code elsewhere is interpreted. */
export function isCanonical(ip: number): boolean {
	return ip >= -(2 ** 47) && ip < 2 ** 47;
}

/** Linear address of an IP. */
export function linearOf({ key, csBase }: CodePlace, ip: number): number {
	return key & KEY.long ? ip : (csBase + ip) % 0x1_0000_0000;
}

/** First address of the page of a linear address. */
export function pageOf(linear: number): number {
	return linear - (linear & 4095);
}
