use super::*;

#[test]
fn one_small_message_does_not_make_the_others_small() {
    let mut window = Window::default();
    let mut send = |bytes| {
        // What was out before is answered.
        window.out = VecDeque::from([(1, bytes)]);
        window.bytes = bytes;
        window.weigh();
        window.mean.expect("something was sent")
    };
    assert_eq!(send(0), 1);
    assert_eq!(send(1_000), 1_000, "it grows at once");
    assert_eq!([send(5), send(5), send(1_000)], [750, 563, 1_000]);
    let last = [5; 100].map(&mut send)[99];
    assert!(last <= 5, "{last}");
}
