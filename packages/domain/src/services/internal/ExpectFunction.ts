/** A program that is not type-checked learns at its start what would else fail each event. */
export const expectFunction = (name: string, handler: unknown): void => {
  if (typeof handler !== "function") throw new TypeError(`the handler of ${name} is no function`)
}
