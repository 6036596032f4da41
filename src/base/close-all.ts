/** Closes each, also after one that throws. @throws what the first of those threw. */
export function closeAll(parts: Iterable<{ close(): void }>): void {
	const errors: unknown[] = [];
	for (const part of parts) {
		try {
			part.close();
		} catch (error) {
			errors.push(error);
		}
	}
	if (errors.length > 0) throw errors[0];
}
