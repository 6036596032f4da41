const PROBLEMS: Readonly<Record<string, string>> = {
	ENOENT: "does not exist",
	ENOTDIR: "does not exist (a part of its path is not a folder)",
	EACCES: "is not accessible (permission denied)",
	EPERM: "is not accessible (operation not permitted)",
	EISDIR: "is a folder, not a file",
	ENOSPC: "cannot be written (no space left)",
	EROFS: "cannot be written (read-only file system)",
	ENAMETOOLONG: "has too long a name",
	ELOOP: "is a loop of symbolic links",
};

/** What is wrong with a file, to follow its name in a message: `does not exist`. */
export function fileProblem(error: unknown): string {
	return PROBLEMS[codeOf(error)] ?? `cannot be used (${error instanceof Error ? error.message : String(error)})`;
}

/** What to do about an image that cannot be opened for writing, to follow {@link fileProblem}; empty where that is not to the point. */
export function writeHint(error: unknown): string {
	return ["EACCES", "EPERM", "EROFS"].includes(codeOf(error))
		? "; add ,readonly or ,snapshot to leave it unchanged"
		: "";
}

/** The system's name for what went wrong, such as ENOENT; empty where it is no error of the system's. */
export function codeOf(error: unknown): string {
	return error instanceof Error && "code" in error ? String(error.code) : "";
}
