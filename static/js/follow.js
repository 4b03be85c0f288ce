// Keeps the end of a growing text in sight, unless the reader has scrolled away from it.

const NEAR_PX = 48;

export class Follower {
  /** `button` leads back to the end, and is there only when that is out of sight. `place`: begin there instead. */
  constructor(frame, button, place = null) {
    this.frame = frame;
    this.button = button;
    this.following = true;
    this.last = frame.scrollTop;
    frame.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.grown()).observe(frame);
    button.addEventListener("click", () => this.toEnd());
    if (place) this.goTo(place);
    else this.toEnd();
  }

  goTo(place) {
    this.following = false;
    place.scrollIntoView();
    this.last = this.frame.scrollTop;
    this.button.hidden = this.near;
  }

  get near() {
    return this.frame.scrollHeight - this.frame.scrollTop - this.frame.clientHeight < NEAR_PX;
  }

  /** Text that came in the meantime is no reason to stop following, moving up is. */
  scrolled() {
    if (this.near) this.following = true;
    else if (this.frame.scrollTop < this.last) this.following = false;
    this.last = this.frame.scrollTop;
    this.button.hidden = this.near;
  }

  grown() {
    if (this.following) this.frame.scrollTop = this.frame.scrollHeight;
    this.button.hidden = this.near;
  }

  toEnd() {
    this.following = true;
    this.grown();
  }
}
