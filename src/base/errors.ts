/** A mistake of the user's: one message that names the field or file. The command prints it and exits with status 2. */
export class UserError extends Error {
	override readonly name = "UserError";
}

/** A broken invariant of tsvmm itself. Asks to be reported. */
export class Bug extends Error {
	override readonly name = "Bug";
}

/** Throws {@link Bug} unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
	if (!condition) throw new Bug(message);
}
