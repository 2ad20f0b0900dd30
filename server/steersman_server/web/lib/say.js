/** Tell those who listen rather than look. */

export function say(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}
