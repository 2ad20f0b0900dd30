/** Paths of the icons, drawn on a 20 by 20 grid. */

export const PLUS = "M10 4v12M4 10h12";
export const CLOSE = "M5 5l10 10M15 5L5 15";
export const MENU = "M3.5 5.5h13M3.5 10h13M3.5 14.5h13";
export const SEND = "M10 16V4M4.5 9.5L10 4l5.5 5.5";
export const STOP = "M6 6h8v8H6z";
export const AGAIN = "M15.5 10a5.5 5.5 0 1 1-1.7-4M14 2.5v3.7h-3.7";
export const PEN = "M4 16l.8-3.2L13 4.6l2.4 2.4-8.2 8.2zM11.5 6.1l2.4 2.4";
export const TRASH = "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6";
export const COLUMNS = "M3.5 4h5.5v12H3.5zM11 4h5.5v12H11z";
export const DIALS = "M4 6h5M13 6h3M4 14h3M11 14h5M11 4.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6zM9 12.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6z";
export const GEAR = "M10 5.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6zM10 8.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6zM10 2.7v2.5M10 14.8v2.5M2.7 10h2.5M14.8 10h2.5M4.8 4.8l1.8 1.8M13.4 13.4l1.8 1.8M15.2 4.8l-1.8 1.8M6.6 13.4l-1.8 1.8";
export const COPY = "M7 7h9v9H7zM13 7V4H4v9h3";
export const DOWNLOAD = "M10 3.5v9M6 9l4 4 4-4M4 16.5h12";
export const SEARCH = "M9 4a5 5 0 1 1 0 10A5 5 0 0 1 9 4zM12.7 12.7L16.5 16.5";
export const MOON = "M15.8 11.8A6.3 6.3 0 0 1 8.2 4.2a6.3 6.3 0 1 0 7.6 7.6z";
export const BOOKMARK = "M6 3.5h8v13l-4-3-4 3z";
export const MINUS = "M4 10h12";
export const LASSO = "M10 4c4 0 7 1.8 7 4.2S14 12.5 10 12.5 3 10.6 3 8.2 6 4 10 4zM6 12c-1.500 1-1.500 2.5 0 3s2 1.500 1 2.5";
