/** A class that may carry a definition. */
export type ViewClass = abstract new (...args: never[]) => object;
