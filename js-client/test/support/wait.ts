/** Waiting for what must happen, with a bound. */

/** Resolves with the first truthy value of `look`, asked again each turn of the loop; rejects after `seconds`. */
export async function until<T>(look: () => T, what: string, seconds = 10): Promise<NonNullable<T>> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const value = look();
    if (value) {
      return value;
    }
    if (performance.now() > end) {
      throw new Error(`waited ${seconds} s in vain for ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** The next event of `type`. */
export function next<E extends Event>(target: EventTarget, type: string, fits: (event: E) => boolean = () => true, seconds = 10): Promise<E> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      target.removeEventListener(type, listen);
      reject(new Error(`waited ${seconds} s in vain for the event ${type}`));
    }, seconds * 1000);
    function listen(event: Event): void {
      if (fits(event as E)) {
        clearTimeout(timer);
        target.removeEventListener(type, listen);
        resolve(event as E);
      }
    }
    target.addEventListener(type, listen);
  });
}

/** A log that keeps what was written. */
export function keptLog(): { lines: string[]; debug(m: string): void; warn(m: string): void; error(m: string, ...d: unknown[]): void } {
  const lines: string[] = [];
  return {
    lines,
    debug: (message) => void lines.push(`debug ${message}`),
    warn: (message) => void lines.push(`warn ${message}`),
    error: (message, ...details) => void lines.push(`error ${message} ${details.map(String).join(" ")}`),
  };
}
