export { Machine } from "./machine.ts";
export type { Outcome } from "./outcome.ts";
