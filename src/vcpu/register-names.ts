/** Register numbers for those who hold a processor: its state is laid out in this order. */
export { GPR, type GprName, SEGMENT, VECTOR } from "../isa/registers.ts";
