/** How the clock's registers show time: bits of register B. */
export const RTC_24_HOURS = 1 << 1;
export const RTC_BINARY = 1 << 2;

/** Registers of the time, and the byte of RAM that firmware keeps the century in. */
export const RTC_SECONDS = 0x00;
export const RTC_MINUTES = 0x02;
export const RTC_HOURS = 0x04;
export const RTC_WEEKDAY = 0x06;
export const RTC_DAY = 0x07;
export const RTC_MONTH = 0x08;
export const RTC_YEAR = 0x09;
export const RTC_CENTURY = 0x32;

const PM = 0x80;
/** Alarm registers with both top bits set match every value. */
const ANY = 0xc0;
const DAY_SECONDS = 86_400;

function encode(value: number, format: number): number {
	return format & RTC_BINARY ? value : (Math.floor(value / 10) << 4) | (value % 10);
}

function decode(value: number, format: number): number {
	return format & RTC_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

function encodeHour(hour: number, format: number): number {
	if (format & RTC_24_HOURS) return encode(hour, format);
	return encode(hour % 12 || 12, format) | (hour >= 12 ? PM : 0);
}

function decodeHour(value: number, format: number): number {
	if (format & RTC_24_HOURS) return decode(value, format);
	return (decode(value & ~PM, format) % 12) + (value & PM ? 12 : 0);
}

/** 1 (Sunday) .. 7 for a time in seconds since 1970. */
export function weekdayOf(seconds: number): number {
	return (((Math.floor(seconds / DAY_SECONDS) + 4) % 7) + 7) % 7;
}

/** One register of the time `seconds` after 1970 began, or undefined when `index` is none. The weekday counts from 1. */
export function timeRegister(index: number, seconds: number, format: number): number | undefined {
	const date = new Date(seconds * 1000);
	switch (index) {
		case RTC_SECONDS:
			return encode(date.getUTCSeconds(), format);
		case RTC_MINUTES:
			return encode(date.getUTCMinutes(), format);
		case RTC_HOURS:
			return encodeHour(date.getUTCHours(), format);
		case RTC_WEEKDAY:
			return weekdayOf(seconds) + 1;
		case RTC_DAY:
			return encode(date.getUTCDate(), format);
		case RTC_MONTH:
			return encode(date.getUTCMonth() + 1, format);
		case RTC_YEAR:
			return encode(date.getUTCFullYear() % 100, format);
		case RTC_CENTURY:
			return encode(Math.floor(date.getUTCFullYear() / 100) % 100, format);
		default:
			return undefined;
	}
}

/** Seconds since 1970 that the registers tell. Impossible dates count on: February 30th is in March. */
export function secondsOf(register: (index: number) => number, format: number): number {
	const year = decode(register(RTC_CENTURY), format) * 100 + decode(register(RTC_YEAR), format);
	const date = new Date(0);
	date.setUTCFullYear(year, decode(register(RTC_MONTH), format) - 1, decode(register(RTC_DAY), format));
	date.setUTCHours(
		decodeHour(register(RTC_HOURS), format),
		decode(register(RTC_MINUTES), format),
		decode(register(RTC_SECONDS), format),
	);
	return Math.floor(date.getTime() / 1000);
}

/**
 * The first moment after `seconds` that an alarm matches, or undefined if it never does.
 * @param alarm raw values of the alarm registers
 */
export function nextAlarm(
	seconds: number,
	alarm: { seconds: number; minutes: number; hours: number },
	format: number,
): number | undefined {
	const wanted = [
		[3600, 24, alarm.hours, decodeHour(alarm.hours, format)],
		[60, 60, alarm.minutes, decode(alarm.minutes, format)],
		[1, 60, alarm.seconds, decode(alarm.seconds, format)],
	] as const;
	const midnight = Math.floor(seconds / DAY_SECONDS) * DAY_SECONDS;
	// Skips to the next hour, minute or second until all three match: a few hundred steps at most.
	for (let at = seconds - midnight + 1; at <= 2 * DAY_SECONDS; ) {
		const miss = wanted.find(
			([unit, values, raw, value]) => (raw & ANY) !== ANY && Math.floor(at / unit) % values !== value,
		);
		if (miss === undefined) return midnight + at;
		at = (Math.floor(at / miss[0]) + 1) * miss[0];
	}
	return undefined;
}
