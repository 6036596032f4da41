/** The opcode index as text where the build has printed one, which is in the bundle. */
export const PRINTED_INDEX: string | undefined = undefined;
