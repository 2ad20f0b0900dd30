/** Numbers as people read them. */

const SIGNED = new Intl.NumberFormat("en", { signDisplay: "exceptZero", minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** `+0.40`, `−0.40`, `0.00`. */
export const signed = (value) => SIGNED.format(value).replace("-", "−");

/** Three figures: `0.0123`, `4.56`, `1,230`. */
export const short = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 }).replace("-", "−");

/** A share as a percentage: `1.2 %`. */
export const percent = (share) => `${(share * 100).toLocaleString("en", { maximumSignificantDigits: 2 })} %`;

/** Text of a token with what does not print made visible; the space before a word goes without saying. */
export const visible = (token) =>
  token.replace(/^ (?=\S)/, "").replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣") || "∅";
