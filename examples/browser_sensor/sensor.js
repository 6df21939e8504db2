// Offers two functions to the peer whose key is in the link, and to nobody else.
import { Registry, join } from "./rtcrpc.js";

const state = document.getElementById("state");
const registry = new Registry();
registry.expose("window_size", () => ({ width: window.innerWidth, height: window.innerHeight }));
registry.expose("show", (text) => {
  document.getElementById("message").textContent = text;
  return null;
});

try {
  const room = await join(location.href, { name: "browser", registry });
  state.textContent = "In the room; waiting to be called.";
  room.addEventListener("connected", () => { state.textContent = "Connected."; });
} catch (error) {
  state.textContent = `It didn't work: ${error.message}`;
}
