/** Where the client writes what a developer may want to know: the console, unless another place is handed in. */

/** The part of a console that is used. */
export interface Log {
  debug(message: string, ...details: unknown[]): void;
  warn(message: string, ...details: unknown[]): void;
  error(message: string, ...details: unknown[]): void;
}

/** Warnings and errors to the console; details that only matter to us to nobody. */
export const consoleLog: Log = {
  debug: () => undefined,
  warn: (message, ...details) => console.warn(`rtcrpc: ${message}`, ...details),
  error: (message, ...details) => console.error(`rtcrpc: ${message}`, ...details),
};
