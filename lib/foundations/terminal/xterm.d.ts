/** Types of the part of @xterm/headless and @xterm/addon-serialize in use. */

/** An add-on, which a terminal activates. */
export interface Addon {
  dispose(): void;
}

/** A terminal without a window. */
export declare class Terminal {
  constructor(options: {
    readonly cols: number;
    readonly rows: number;
    readonly scrollback: number;
    readonly allowProposedApi: boolean;
  });
  readonly cols: number;
  readonly rows: number;
  readonly modes: { readonly originMode: boolean };
  readonly buffer: {
    readonly active: { readonly cursorX: number; readonly cursorY: number };
  };
  loadAddon(addon: Addon): void;
  onTitleChange(listener: (title: string) => void): void;
  onData(listener: (answer: string) => void): void;
  write(bytes: Uint8Array, done: () => void): void;
  resize(columns: number, rows: number): void;
  dispose(): void;
}

/** Draws a terminal's state as text. */
export declare class SerializeAddon implements Addon {
  serialize(options: { readonly scrollback: number }): string;
  dispose(): void;
}
