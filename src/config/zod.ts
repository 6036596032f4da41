// One by one, so that a bundler can leave out the rest of zod, above all its messages in fifty languages.
import {
	array,
	boolean,
	enum as enumeration,
	int,
	literal,
	null as nothing,
	strictObject,
	string,
	toJSONSchema,
	union,
} from "zod";

/** The parts of zod that descriptions of machine files are made from. */
export const z = {
	array,
	boolean,
	enum: enumeration,
	int,
	literal,
	null: nothing,
	strictObject,
	string,
	toJSONSchema,
	union,
};
