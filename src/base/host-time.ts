/** Host milliseconds since some moment, with fractions: unlike `performance`, it is there without loading a module of Node's. */
export function hostMs(): number {
	const [seconds, nanoseconds] = process.hrtime();
	return seconds * 1e3 + nanoseconds / 1e6;
}
